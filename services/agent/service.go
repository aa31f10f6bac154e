package agent

import (
	"context"
	"fmt"
	"sync"

	"google.golang.org/grpc"

	handoffv1 "github.com/serinhq/serin/gen/serin/handoff/v1"
	"github.com/serinhq/serin/internal/agentspec"
	"github.com/serinhq/serin/internal/drain"
	"github.com/serinhq/serin/internal/rpc"
)

// Service is one agent: it executes the segments that are handed to it.
type Service struct {
	handoffv1.UnimplementedHandoffServiceServer

	config   Config
	name     string
	revision string // short
	rules    *rules
	model    *modelClient
	tools    *toolCache
	prices   *priceCache
	metrics  *metrics
	gate     drain.Gate

	// alive ends when a drain's grace does; what runs in the background until then is counted.
	alive      context.Context
	kill       context.CancelCauseFunc
	background sync.WaitGroup

	mu      sync.Mutex
	tenures map[string]*tenure // by turn
	taken   int64              // tenures until now
}

// New makes an agent. It connects to nothing yet.
func New(config Config) (*Service, error) {
	config, err := config.withDefaults()
	if err != nil {
		return nil, err
	}

	rules, err := newRules(config.Agent, config.Peers)
	if err != nil {
		return nil, fmt.Errorf("agent %s: %w", config.Agent.Metadata.Name, err)
	}

	rules.library = newLibrary(config)

	model, err := newModelClient(config)
	if err != nil {
		return nil, fmt.Errorf("agent %s: %w", config.Agent.Metadata.Name, err)
	}

	short := agentspec.Short(config.Revision)

	metrics, err := newMetrics(config.Telemetry, config.Agent.Metadata.Name, short)
	if err != nil {
		return nil, fmt.Errorf("agent %s: %w", config.Agent.Metadata.Name, err)
	}

	alive, kill := context.WithCancelCause(context.Background())

	return &Service{
		config: config, name: config.Agent.Metadata.Name, revision: short,
		rules: rules, model: model, prices: newPriceCache(config, model.base), metrics: metrics, alive: alive, kill: kill,
		tools:   newToolCache(config.Tools, config.Agent.Spec.Tools, config.ToolsTTL),
		tenures: map[string]*tenure{},
	}, nil
}

// Register adds HandoffService to a server.
func (s *Service) Register(registrar grpc.ServiceRegistrar) {
	handoffv1.RegisterHandoffServiceServer(registrar, s)
}

// Policy lets the gateway and the agents that list this one in their handoffs hand over to it: callers, or if that is
// nil, any agent whom the mesh lets through.
func Policy(callers []string) rpc.Policy {
	agents := rpc.Names(callers...)
	if callers == nil {
		agents = rpc.AnyAgent
	}

	return rpc.Policy{
		handoffv1.HandoffService_Handoff_FullMethodName:  rpc.AnyOf(rpc.Names(rpc.Gateway), agents),
		handoffv1.HandoffService_Describe_FullMethodName: rpc.AnyWorkload,
	}
}

// ActiveSegments is the number of segments that this process executes now.
func (s *Service) ActiveSegments() int { return s.gate.Active() }
