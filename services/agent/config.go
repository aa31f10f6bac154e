package agent

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	handoffv1 "github.com/serinhq/serin/gen/serin/handoff/v1"
	toolsv1 "github.com/serinhq/serin/gen/serin/tools/v1"
	"github.com/serinhq/serin/internal/agentspec"
	"github.com/serinhq/serin/internal/telemetry"
)

// Config is what an agent's process is made of. Zero values are good defaults where a field does not say "required".
type Config struct {
	// Agent is the resolved and defaulted file: its prompt is inline. Required.
	Agent agentspec.Agent
	// Revision is the agent's digest, 64 hex digits. Events, pins and metrics use its short name. Required.
	Revision string
	// Peers describe the agents that this one may hand off to.
	Peers []Peer
	// Callers are the agents that may hand off to this one. Nil leaves it to the mesh, which knows them as they change:
	// then any agent may whom it lets through.
	Callers []string
	// Context stores conversations. Required.
	Context contextv1.ContextServiceClient
	// Tools runs tools; nil if the agent has none.
	Tools toolsv1.ToolExecuteServiceClient
	// Handoff reaches another agent. Required if the agent may hand off.
	Handoff func(agent string) (handoffv1.HandoffServiceClient, error)
	// LLM is the ambassador.
	LLM LLM
	// Retriever finds passages of documents for prompts; nil for none.
	Retriever Retriever
	// Instance names this process in leases, unique per start and without a slash; default a fresh ULID.
	Instance string
	// LeaseTTL is how long a lost process keeps its turns from others, 100 ms to 5 min; default 5 s.
	LeaseTTL time.Duration
	// MaxToolParallel is how many calls of one message run at once; default 8.
	MaxToolParallel int
	// ToolsTTL is how long the list of tools is kept; default 1 min.
	ToolsTTL time.Duration
	// DrainGrace is how long Run lets segments finish once its context has ended; default 20 s.
	DrainGrace time.Duration
	// Telemetry defaults to one that discards.
	Telemetry *telemetry.Telemetry
}

// LLM says where the model is.
type LLM struct {
	// BaseURL is the root of an OpenAI-compatible API; a URL without a path gets /v1. Required.
	BaseURL string
	// HTTPClient defaults to one without a timeout: the turn's deadline ends calls.
	HTTPClient *http.Client
}

// Peer is an agent that control may pass to.
type Peer struct {
	Name string
	// Description is what the model reads when the handoff itself does not say when to use it.
	Description string
}

func (c Config) withDefaults() (Config, error) {
	if err := c.validate(); err != nil {
		return c, err
	}

	if c.LLM.HTTPClient == nil {
		c.LLM.HTTPClient = &http.Client{}
	}

	if c.Instance == "" {
		c.Instance = strings.ToLower(ulid.Make().String())
	}

	if c.Telemetry == nil {
		c.Telemetry = telemetry.Discard()
	}

	if c.MaxToolParallel <= 0 {
		c.MaxToolParallel = 8
	}

	if c.Agent.Spec.Scaling.MaxConcurrentSegments <= 0 {
		c.Agent.Spec.Scaling.MaxConcurrentSegments = 256
	}

	orDefault(&c.LeaseTTL, 5*time.Second)
	orDefault(&c.ToolsTTL, time.Minute)
	orDefault(&c.DrainGrace, 20*time.Second)

	return c, nil
}

func (c Config) validate() error {
	switch {
	case c.Agent.Metadata.Name == "":
		return errors.New("agent: Config.Agent has no name")
	case len(c.Revision) < 12:
		return fmt.Errorf("agent: Config.Revision is %q: want 64 hex digits", c.Revision)
	case c.Context == nil:
		return errors.New("agent: Config.Context is required")
	case c.LLM.BaseURL == "":
		return errors.New("agent: Config.LLM.BaseURL is required")
	case len(c.Agent.Spec.Tools) > 0 && c.Tools == nil:
		return errors.New("agent: Config.Tools is required: the agent has tools")
	case len(c.Agent.Spec.Handoffs) > 0 && c.Handoff == nil:
		return errors.New("agent: Config.Handoff is required: the agent may hand off")
	default:
		return nil
	}
}

func orDefault(value *time.Duration, standard time.Duration) {
	if *value <= 0 {
		*value = standard
	}
}
