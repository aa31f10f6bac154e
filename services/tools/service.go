// Package tools is the room of ToolExecuteService: it knows the tools of MCP servers and its own built-in ones, and runs
// each call of the log at most once. Before a call takes effect it is claimed in the context store; afterwards its result
// is recorded there. Where a result can't be known, the answer says so and the call is never run again.
//
// A call's way: [Service.Execute] admits it (grants.go, catalog.go) and joins or starts a run (runs.go); the run takes a
// slot, claims, invokes and records (run.go, claim.go), whoever still listens; MCP servers are kept alive by server.go.
package tools

import (
	"context"
	"fmt"
	"sync/atomic"

	"google.golang.org/grpc"

	toolsv1 "github.com/serinhq/serin/gen/serin/tools/v1"
	"github.com/serinhq/serin/internal/agentspec"
	"github.com/serinhq/serin/internal/drain"
	"github.com/serinhq/serin/internal/rpc"
)

// Service implements ToolExecuteService. Make one with [New], keep its servers alive with [Service.Run].
type Service struct {
	toolsv1.UnimplementedToolExecuteServiceServer

	config  Config
	metrics *metrics
	catalog *catalog
	grants  atomic.Pointer[grants]
	runs    *runs
	gate    drain.Gate

	// base is what runs live in: it ends when the service gives up waiting for them.
	base context.Context
	stop context.CancelFunc
}

// New makes the service; no process is started before [Service.Run]. It fails if a server's name or command is not
// usable or given twice.
func New(config Config) (*Service, error) {
	config, err := config.withDefaults()
	if err != nil {
		return nil, err
	}

	metrics, err := newMetrics(config.Telemetry.Meter)
	if err != nil {
		return nil, fmt.Errorf("making metrics: %w", err)
	}

	catalog, err := newCatalog(config)
	if err != nil {
		return nil, err
	}

	base, stop := context.WithCancel(context.Background())

	service := &Service{
		config: config, metrics: metrics, catalog: catalog, runs: newRuns(),
		base: base, stop: stop,
	}
	service.SetGrants(config.Grants)

	return service, nil
}

// Register adds the service to a gRPC server.
func (s *Service) Register(registrar grpc.ServiceRegistrar) {
	toolsv1.RegisterToolExecuteServiceServer(registrar, s)
}

// Policy says who may call: agents alone, each for the tools that it was granted.
func (s *Service) Policy() rpc.Policy {
	return rpc.Policy{
		toolsv1.ToolExecuteService_ListTools_FullMethodName: rpc.AnyAgent,
		toolsv1.ToolExecuteService_Execute_FullMethodName:   rpc.AnyAgent,
	}
}

// Run keeps the MCP servers running until the context ends; then it gives up what still runs, ends the servers and
// returns nil. To let calls finish first, call [Service.Drain] before the context ends.
func (s *Service) Run(ctx context.Context) error {
	// The servers outlive ctx by what it takes to end the calls that use them.
	servers, stopServers := context.WithCancel(context.WithoutCancel(ctx))
	defer stopServers()

	ended := s.catalog.start(servers)

	<-ctx.Done()

	err := s.Close() //nolint:contextcheck // the context has ended

	stopServers()
	<-ended

	return err
}

// Drain refuses new calls with UNAVAILABLE (DRAINING) and returns when the running ones have ended, or with an error when
// the context ends first.
func (s *Service) Drain(ctx context.Context) error {
	s.gate.Close()

	return s.gate.Wait(ctx)
}

// Close refuses new calls, gives up the running ones (a call that is not idempotent becomes one whose outcome is unknown)
// and returns when all have ended. It may be called more than once.
func (s *Service) Close() error {
	s.gate.Close()
	s.stop()

	return s.gate.Wait(context.Background())
}

// Ready returns nil if every MCP server is up and has the tools that agents were granted, and else what is missing.
func (s *Service) Ready(context.Context) error { return s.catalog.ready(*s.grants.Load()) }

// SetGrants replaces [Config.Grants] from the next call on.
func (s *Service) SetGrants(from map[string][]agentspec.Tool) {
	granted := newGrants(from)
	s.grants.Store(&granted)
}
