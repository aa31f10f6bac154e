package tools

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"time"

	"github.com/google/uuid"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	"github.com/serinhq/serin/internal/agentspec"
	"github.com/serinhq/serin/internal/telemetry"
)

// Config is what the service needs. Zero values are the defaults, but for Context.
type Config struct {
	// Context is where calls are claimed and their results recorded. Required.
	Context contextv1.ContextServiceClient
	// Servers are the MCP servers whose tools are offered, names unique.
	Servers []agentspec.MCPServer
	// Grants are the tools that an agent may use, by its name. Names may be server_* for all of a server's tools.
	Grants map[string][]agentspec.Tool
	// SelfPath replaces a command's first word "serin"; by default this very executable.
	SelfPath string
	// Instance names this process as the holder of claims, unique per start, at most 100 bytes; by
	// default a new UUID.
	Instance string
	// ClaimTTL is how long a claim lasts without renewal, 100 ms to 5 min; default 3 s. It is renewed at a third of it.
	ClaimTTL time.Duration
	// ServerWait is how long a request waits for a tool server that is not up; default 5 s.
	ServerWait time.Duration
	// QueueWait is how long a call waits for one of its tool's slots before TOOL_BUSY; default 10 s.
	QueueWait time.Duration
	// MinBackoff and MaxBackoff bound the wait before a server is restarted; 100 ms and 30 s by default.
	MinBackoff, MaxBackoff time.Duration
	// StopGrace is how long a server may take to end after its input was closed, and again after SIGTERM; default 2 s.
	StopGrace time.Duration
	// StartLimit is how long a server may take to answer after its start; default 60 s.
	StartLimit time.Duration
	// Look is how often a server over HTTP is asked for its tools, which tells too whether it is there; default 30 s.
	Look time.Duration
	// Getenv reads the environment variables that declarations name; default [os.Getenv].
	Getenv func(string) string
	// Telemetry defaults to one that discards.
	Telemetry *telemetry.Telemetry
	// Now is the built-in clock; default [time.Now].
	Now func() time.Time
}

// maxInstance leaves room for [inquirer] in what the store takes as a holder's name.
const maxInstance = 100

// serverName is a DNS label of at most 40 characters, as internal/agentspec demands: it has no underscore, so that
// server_tool can be taken apart again.
var serverName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$`)

func (c Config) withDefaults() (Config, error) {
	if c.Context == nil {
		return c, errors.New("tools: Config.Context is required")
	}

	if err := checkServers(c.Servers); err != nil {
		return c, err
	}

	if c.SelfPath == "" {
		self, err := os.Executable()
		if err != nil {
			return c, fmt.Errorf("finding this executable: %w", err)
		}

		c.SelfPath = self
	}

	if c.Instance == "" {
		c.Instance = "tools-" + uuid.NewString()
	}

	if len(c.Instance) > maxInstance {
		return c, fmt.Errorf("tools: Config.Instance has %d bytes; at most %d", len(c.Instance), maxInstance)
	}

	if c.Telemetry == nil {
		c.Telemetry = telemetry.Discard()
	}

	if c.Now == nil {
		c.Now = time.Now
	}

	if c.Getenv == nil {
		c.Getenv = os.Getenv
	}

	orDefault(&c.Look, 30*time.Second)
	orDefault(&c.ClaimTTL, 3*time.Second)
	orDefault(&c.ServerWait, 5*time.Second)
	orDefault(&c.QueueWait, 10*time.Second)
	orDefault(&c.MinBackoff, 100*time.Millisecond)
	orDefault(&c.MaxBackoff, 30*time.Second)
	orDefault(&c.StopGrace, 2*time.Second)
	orDefault(&c.StartLimit, time.Minute)

	return c, nil
}

func checkServers(servers []agentspec.MCPServer) error {
	seen := map[string]bool{}

	for _, server := range servers {
		name := server.Metadata.Name

		switch {
		case !serverName.MatchString(name):
			return fmt.Errorf("tool server %q: the name must be a DNS label of at most 40 characters", name)
		case seen[name]:
			return fmt.Errorf("tool server %q is declared twice", name)
		case len(server.Spec.Command) == 0 && server.Spec.URL == "":
			return fmt.Errorf("tool server %q has neither a command nor a URL", name)
		}

		seen[name] = true
	}

	return nil
}

func orDefault(value *time.Duration, standard time.Duration) {
	if *value <= 0 {
		*value = standard
	}
}
