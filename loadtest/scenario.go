package loadtest

import (
	"cmp"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/serinhq/serin/internal/fault"
)

// Scenario is a load: how many conversations begin when, and what is said in them.
type Scenario struct {
	// Name is for the report.
	Name string `json:"name"`
	// Stages are the rates of new conversations, one after the other.
	Stages []Stage `json:"stages"`
	// Arrivals are how they are spread; by default [Poisson].
	Arrivals Arrivals `json:"arrivals"`
	// Conversations is the most that begin; 0 means no limit but the stages.
	Conversations int `json:"conversations,omitempty"`
	// Agent meets them; by default the one marked as entry.
	Agent string `json:"agent,omitempty"`
	// Turns of each conversation; default 5.
	Turns int `json:"turns"`
	// Think is the time between an answer and the next message, on average; it is exponentially distributed.
	Think time.Duration `json:"think"`
	// Dialogues are what is said, drawn evenly; one that is shorter than Turns begins anew. Default [Dialogues].
	Dialogues []Dialogue `json:"-"`
}

// Stage is a stretch of time whose rate of new conversations goes evenly from From to To per second. A Duration of 0
// means until the load is stopped.
type Stage struct {
	Duration time.Duration `json:"duration"`
	From     float64       `json:"from"`
	To       float64       `json:"to"`
}

// Arrivals are how the conversations of a rate are spread.
type Arrivals string

// The arrivals there are.
const (
	// Poisson arrivals know nothing of each other, as users do.
	Poisson Arrivals = "poisson"
	// Uniform arrivals have equal distances.
	Uniform Arrivals = "uniform"
)

// Steady is a constant rate of new conversations per second. A duration of 0 lasts until the load is stopped.
func Steady(rate float64, duration time.Duration) Scenario {
	return Scenario{Name: "steady", Stages: []Stage{{duration, rate, rate}}}
}

// Ramp goes evenly from one rate to another.
func Ramp(from, to float64, duration time.Duration) Scenario {
	return Scenario{Name: "ramp", Stages: []Stage{{duration, from, to}}}
}

// Spike is a steady rate that jumps to a peak for the middle fifth of the time.
func Spike(rate, peak float64, duration time.Duration) Scenario {
	calm := duration * 2 / 5

	return Scenario{Name: "spike", Stages: []Stage{{calm, rate, rate}, {duration - 2*calm, peak, peak}, {calm, rate, rate}}}
}

// Duration is how long conversations go on beginning; 0 means until the load is stopped.
func (s Scenario) Duration() time.Duration {
	total := time.Duration(0)

	for _, stage := range s.Stages {
		if stage.Duration == 0 {
			return 0
		}

		total += stage.Duration
	}

	return total
}

func (s Scenario) withDefaults() Scenario {
	s.Name = cmp.Or(s.Name, "load")
	s.Arrivals = cmp.Or(s.Arrivals, Poisson)
	s.Turns = cmp.Or(s.Turns, 5)

	if len(s.Dialogues) == 0 {
		s.Dialogues = Dialogues()
	}

	return s
}

func (s Scenario) validate() error {
	wrong := []fault.Violation{}
	add := func(field, format string, args ...any) {
		wrong = append(wrong, fault.Violation{Field: field, Message: fmt.Sprintf(format, args...)})
	}

	for i, stage := range s.Stages {
		field := "stages[" + strconv.Itoa(i) + "]"

		if !(stage.From >= 0 && stage.To >= 0) || math.IsInf(stage.From+stage.To, 0) { // NaN is not at least 0
			add(field, "has rates from %v to %v per second; want numbers from 0", stage.From, stage.To)
		}

		if stage.Duration < 0 {
			add(field, "lasts %s; want a time from 0", stage.Duration)
		}

		if stage.Duration == 0 && stage.From != stage.To {
			add(field, "has no duration, so its rate can not change; want from and to alike")
		}
	}

	if s.Arrivals != Poisson && s.Arrivals != Uniform {
		add("arrivals", "are %q; want %s or %s", s.Arrivals, Poisson, Uniform)
	}

	if s.Turns < 1 {
		add("turns", "are %d; want at least 1", s.Turns)
	}

	if s.Conversations < 0 || s.Think < 0 {
		add("conversations", "and think must not be negative")
	}

	for i, dialogue := range s.Dialogues {
		if len(dialogue) == 0 {
			add("dialogues["+strconv.Itoa(i)+"]", "is empty; want at least one message")
		}
	}

	if len(wrong) > 0 {
		return fault.Invalid(wrong...)
	}

	return nil
}

func quoted(text string) string { return strconv.Quote(text) }
