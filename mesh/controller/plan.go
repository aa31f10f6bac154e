package controller

import (
	"time"

	rolloutv1 "github.com/serinhq/serin/gen/serin/rollout/v1"
	"github.com/serinhq/serin/internal/agentspec"
	"github.com/serinhq/serin/mesh/canary"
)

// planOf returns how the declaration wants a new revision to take over.
func planOf(declared *agentspec.Agent) canary.Plan {
	spec := &declared.Spec
	plan := canary.Plan{
		Pause:       time.Duration(spec.Rollout.Pause),
		Automatic:   spec.Rollout.Promotion == "automatic",
		SLA:         time.Duration(spec.SLA.P99),
		UndoWindow:  time.Duration(spec.Rollout.UndoWindow),
		RetireIdle:  time.Duration(spec.Rollout.RetireIdle),
		RetireAfter: time.Duration(spec.Rollout.RetireAfter),
		Slots:       adopts(declared),
	}

	for _, step := range spec.Rollout.Steps {
		plan.Steps = append(plan.Steps, int(step))
	}

	return plan
}

// override replaces what a person said otherwise.
func override(plan canary.Plan, by *rolloutv1.Plan) canary.Plan {
	if by.GetPause() != nil {
		plan.Pause = by.GetPause().AsDuration()
	}

	if by.GetAutomatic() {
		plan.Automatic = true
	}

	if len(by.GetSteps()) > 0 {
		plan.Steps = nil
		for _, step := range by.GetSteps() {
			plan.Steps = append(plan.Steps, int(step))
		}
	}

	return plan
}
