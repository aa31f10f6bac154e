package loadtest

import (
	"context"
	"net/http"
	"net/url"
	"time"

	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
	"github.com/serinhq/serin/internal/fault"
)

// Config says what load to make and where. URL is required; zero values of the rest are good defaults.
type Config struct {
	// URL is the gateway's REST address, such as http://127.0.0.1:8080.
	URL string
	// Token is a bearer token; empty where the gateway asks for none. Rollouts need one with role operator.
	Token string
	// Transport carries the requests; by default one with enough idle connections, closed at the end.
	Transport http.RoundTripper
	// Scenario is the load; by default [Steady] with 10 conversations per second for 30 s.
	Scenario Scenario
	// Seed makes arrivals and dialogues repeatable; 0 is a seed as well.
	Seed uint64
	// TurnTimeout is how long after its intended start a turn may end before it counts as failed (TIMEOUT); default 60 s.
	TurnTimeout time.Duration
	// MaxOpen limits conversations that are open at once; more arrivals wait, and their latency counts. Default 10,000.
	MaxOpen int
	// Audit reads each conversation's whole log again at its end, and compares it with what was streamed.
	Audit bool
	// Script runs beside the load, to do something to the platform at the right moment. When it returns, no more
	// conversations begin; its error is Run's.
	Script func(ctx context.Context, load *Load) error
	// OnEvent gets each durable event once, in order within its conversation, from many goroutines at once.
	OnEvent func(event *eventv1.Event)
	// Decide answers what a person is asked about a call; by default everything is approved, and whatever may
	// have happened did.
	Decide func(conversation, call string, kind eventv1.InputRequested_Kind) eventv1.Decision
	// Progress is told how it goes, each second; it may be nil.
	Progress func(Progress)
	// Now is the clock, the same as the store's events have; default time.Now.
	Now func() time.Time
}

func (c Config) withDefaults() (Config, error) {
	address, err := url.Parse(c.URL)
	if err != nil || (address.Scheme != "http" && address.Scheme != "https") || address.Host == "" {
		return c, fault.Invalid(fault.Violation{
			Field: "url", Message: "is " + quoted(c.URL) + "; want an address such as http://127.0.0.1:8080",
		})
	}

	if c.Scenario.Stages == nil {
		c.Scenario.Stages = Steady(10, 30*time.Second).Stages
	}

	c.Scenario = c.Scenario.withDefaults()

	if c.TurnTimeout <= 0 {
		c.TurnTimeout = time.Minute
	}

	if c.MaxOpen <= 0 {
		c.MaxOpen = 10_000
	}

	if c.Now == nil {
		c.Now = time.Now
	}

	if c.Decide == nil {
		c.Decide = approve
	}

	return c, c.Scenario.validate()
}

// approve answers as a user in a hurry does.
func approve(_, _ string, kind eventv1.InputRequested_Kind) eventv1.Decision {
	if kind == eventv1.InputRequested_KIND_OUTCOME {
		return eventv1.Decision_DECISION_HAPPENED
	}

	return eventv1.Decision_DECISION_APPROVE
}
