package gateway

import (
	"errors"
	"fmt"
	"time"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
	handoffv1 "github.com/serinhq/serin/gen/serin/handoff/v1"
	rolloutv1 "github.com/serinhq/serin/gen/serin/rollout/v1"
	"github.com/serinhq/serin/internal/fault"
	"github.com/serinhq/serin/internal/telemetry"
)

// Config makes a [Service]. Context and Handoff are required; zero values of the rest mean the defaults.
type Config struct {
	// Context is the store of conversations.
	Context contextv1.ContextServiceClient
	// Handoff returns a client of an agent. An error with code UNAVAILABLE is tried again until the turn's deadline; any
	// other error means that there is no such agent, and fails the turn with AGENT_UNAVAILABLE.
	Handoff func(agent string) (handoffv1.HandoffServiceClient, error)
	// Rollouts steers canaries; nil where there are none.
	Rollouts rolloutv1.RolloutServiceClient
	// Agents are those that conversations may be opened with. At most one is the entry.
	Agents []Agent
	// Tokens are who may call. Without them everyone may, as user "local" of tenant "default" with role operator.
	Tokens *Tokens
	// Hosts are further names by which a gateway without tokens may be addressed on a loopback address, besides
	// localhost and addresses. A web page that rebinds its own name to 127.0.0.1 is refused by this.
	Hosts []string
	// Door is what outsiders may; default every one of them as much as it likes, and no web pages.
	Door Door
	// Redis is what gateways share limits and idempotency keys by; nil means that each counts for itself. See [Sharing].
	Redis *Redis
	// DispatchInterval is the time between looks for turns that nobody executes; default 500 ms.
	DispatchInterval time.Duration
	// MaxDispatches limits turns that are dispatched at once; more wait for the next look. Default 4096.
	MaxDispatches int
	// Heartbeat is the silence after which an SSE stream gets a comment; default 15 s.
	Heartbeat time.Duration
	// WriteTimeout ends an answer whose client does not take what it is sent; default 30 s.
	WriteTimeout time.Duration
	// RequestTimeout limits every call but those that wait for a turn, and the reading of a body; default 30 s.
	RequestTimeout time.Duration
	// DrainGrace is how long calls that wait for a turn's end go on after draining began; default 5 s.
	DrainGrace time.Duration
	// Telemetry gets logs, metrics and spans; default none.
	Telemetry *telemetry.Telemetry
	// Version is the product's version, for the index page.
	Version string
	// OpenAPI is served at /openapi.json; without it that path is not found.
	OpenAPI []byte
}

// Agent is an agent that conversations may be opened with.
type Agent struct {
	Name        string
	Description string
	// Entry marks the agent that new conversations meet.
	Entry bool
	// Budget is what a turn that begins with this agent may use; nil means no limit here.
	Budget *eventv1.Budget
	// Deadline is how long a turn may take, waiting for humans not counted; default 2 min.
	Deadline time.Duration
	// Leaving says that it is not declared any more, and runs still: it gets no new conversations, and goes on with its own
	// only where nobody takes them over.
	Leaving bool
}

const defaultDeadline = 2 * time.Minute

func (c Config) withDefaults() (Config, error) {
	if c.Context == nil || c.Handoff == nil {
		return c, errors.New("gateway: Config needs Context and Handoff")
	}

	if violations := c.Door.Check(c.Tokens != nil); len(violations) > 0 {
		return c, fmt.Errorf("gateway: %w", fault.Invalid(violations...))
	}

	c.DispatchInterval = positive(c.DispatchInterval, 500*time.Millisecond)
	c.MaxDispatches = positive(c.MaxDispatches, 4096)
	c.Heartbeat = positive(c.Heartbeat, 15*time.Second)
	c.WriteTimeout = positive(c.WriteTimeout, 30*time.Second)
	c.Door.MaxBodyBytes = positive(c.Door.MaxBodyBytes, 1<<20)
	c.RequestTimeout = positive(c.RequestTimeout, 30*time.Second)
	c.DrainGrace = positive(c.DrainGrace, 5*time.Second)

	if c.Telemetry == nil {
		c.Telemetry = telemetry.Discard()
	}

	return c, nil
}

func positive[T int | int64 | time.Duration](value, otherwise T) T {
	if value > 0 {
		return value
	}

	return otherwise
}

func checkAgents(agents []Agent) error {
	entry := ""

	for _, agent := range agents {
		if !agent.Entry {
			continue
		}

		if entry != "" {
			return fmt.Errorf("gateway: agents %q and %q are both marked as entry; one must be", entry, agent.Name)
		}

		entry = agent.Name
	}

	return nil
}
