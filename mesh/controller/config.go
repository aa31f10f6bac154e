package controller

import (
	"cmp"
	"context"
	"errors"
	"time"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	workloadv1 "github.com/serinhq/serin/gen/serin/workload/v1"
	"github.com/serinhq/serin/internal/telemetry"
	"github.com/serinhq/serin/mesh/istio"
)

// Router writes and reads an agent's Istio objects; see [istio.Router].
type Router interface {
	Apply(ctx context.Context, agent istio.Agent, routing istio.Routing) (istio.Progress, error)
	Observe(ctx context.Context, agent istio.Agent) (istio.Progress, error)
	// Watch calls changed after each change of the agent's objects, until ctx ends.
	Watch(ctx context.Context, agent istio.Agent, changed func()) error
	Delete(ctx context.Context, agent istio.Agent) error
	Authorize(ctx context.Context, agent istio.Agent, callers []string) error
}

// Config is what a Service needs. Router, Workloads, Context and Store are required; other zero values are the defaults.
type Config struct {
	// Namespace is the one that the agents live in; default "default".
	Namespace string
	// Agents is the folder, or the file, that declares the agents and is watched; empty for none, or for Source.
	Agents string
	// Source declares the agents where that is not a folder.
	Source Source
	// Router reaches the mesh.
	Router Router
	// Workloads has processes run.
	Workloads workloadv1.WorkloadServiceClient
	// Context is the store of conversations.
	Context contextv1.ContextServiceClient
	// Store keeps rollouts. The Service does not close it.
	Store Store
	// Telemetry defaults to one that discards.
	Telemetry *telemetry.Telemetry
	// Interval is how often each agent is looked at when nothing happens; default 250ms.
	Interval time.Duration
	// FolderInterval is how often the folder, or the source, is looked at; default 500ms.
	FolderInterval time.Duration
	// UseInterval is how often the store is asked how much the revisions of an agent with a rollout are used; default 1s.
	UseInterval time.Duration
	// DeleteAfter is how long an agent that is not declared any more must have been idle before it goes; default 24h.
	DeleteAfter time.Duration
	// CarriedOut is how long an answer waits at most for its action to be carried out; default 5s.
	CarriedOut time.Duration
	// Now is the clock; default time.Now.
	Now func() time.Time
}

// withDefaults returns a config in which nothing is missing.
func withDefaults(c Config) (Config, error) {
	switch {
	case c.Router == nil:
		return c, errors.New("controller: Config.Router is required")
	case c.Workloads == nil:
		return c, errors.New("controller: Config.Workloads is required")
	case c.Context == nil:
		return c, errors.New("controller: Config.Context is required")
	case c.Store == nil:
		return c, errors.New("controller: Config.Store is required")
	case c.Agents != "" && c.Source != nil:
		return c, errors.New("controller: Config.Agents and Config.Source both declare agents; want one of them")
	}

	if c.Telemetry == nil {
		c.Telemetry = telemetry.Discard()
	}

	if c.Now == nil {
		c.Now = time.Now
	}

	c.Namespace = cmp.Or(c.Namespace, "default")
	c.Interval = cmp.Or(c.Interval, 250*time.Millisecond)
	c.FolderInterval = cmp.Or(c.FolderInterval, 500*time.Millisecond)
	c.UseInterval = cmp.Or(c.UseInterval, time.Second)
	c.DeleteAfter = cmp.Or(c.DeleteAfter, 24*time.Hour)
	c.CarriedOut = cmp.Or(c.CarriedOut, 5*time.Second)

	return c, nil
}

// now is the time as it is stored: without a monotonic part.
func (c *Config) now() time.Time { return c.Now().UTC().Round(0) }

func (c *Config) target(agent string, adopt bool) istio.Agent {
	return istio.Agent{Namespace: c.Namespace, Name: agent, Adopt: adopt}
}
