package canary

import (
	"fmt"
	"time"
)

// Validate says what is wrong with a plan: a [*Refusal] with reason INVALID_PLAN, or nil.
func (p Plan) Validate() error {
	if len(p.Steps) == 0 {
		return invalidPlan("steps: none; want percentages that rise, such as 5,25,50,100")
	}

	for i, step := range p.Steps {
		switch {
		case step < 1 || step > 100:
			return invalidPlan("steps: %d is out of range, 1 to 100 percent", step)
		case i > 0 && step <= p.Steps[i-1]:
			return invalidPlan("steps: %d is not more than the step before, %d", step, p.Steps[i-1])
		}
	}

	return p.validateTimes()
}

func (p Plan) validateTimes() error {
	for _, field := range []struct {
		name  string
		value time.Duration
	}{
		{"pause", p.Pause},
		{"sla", p.SLA},
		{"undoWindow", p.UndoWindow},
		{"retireIdle", p.RetireIdle},
		{"retireAfter", p.RetireAfter},
	} {
		if field.value < 0 {
			return invalidPlan("%s: %s is negative; want a duration such as 10m", field.name, field.value)
		}
	}

	if p.RetireIdle > p.RetireAfter {
		return invalidPlan("retireIdle: %s is more than retireAfter, %s", p.RetireIdle, p.RetireAfter)
	}

	return nil
}

func invalidPlan(format string, args ...any) error {
	return &Refusal{Reason: "INVALID_PLAN", Message: fmt.Sprintf(format, args...)}
}

// at returns the index of the last step that a weight has come to; -1 before the first.
func (p Plan) at(weight int) int {
	return p.next(weight) - 1
}

// next returns the index of the first step beyond a weight; the number of steps if there is none.
func (p Plan) next(weight int) int {
	for i, step := range p.Steps {
		if step > weight {
			return i
		}
	}

	return len(p.Steps)
}

// after returns the weight that follows a weight: after the last step it is everything.
func (p Plan) after(weight int) int {
	if next := p.next(weight); next < len(p.Steps) {
		return p.Steps[next]
	}

	return 100
}
