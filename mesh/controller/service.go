package controller

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	rolloutv1 "github.com/serinhq/serin/gen/serin/rollout/v1"
	"github.com/serinhq/serin/internal/fault"
)

// Service serves RolloutService and steers the agents while [Service.Run] runs.
type Service struct {
	rolloutv1.UnimplementedRolloutServiceServer

	config   *Config
	agents   *agents
	follower *follower

	// loaded is closed once what was kept is known.
	loaded  chan struct{}
	drain   func()
	drained <-chan struct{}
}

// New makes a Service.
func New(config Config) (*Service, error) {
	config, err := withDefaults(config)
	if err != nil {
		return nil, err
	}

	all := newAgents(&config)

	if all.shared.metrics, err = newMetrics(config.Telemetry.Meter, all); err != nil {
		return nil, err
	}

	drained := make(chan struct{})

	return &Service{
		config: &config, agents: all,
		follower: &follower{config: &config, agents: all, source: sourceOf(&config), telling: map[string]bool{}},
		loaded:   make(chan struct{}), drained: drained, drain: sync.OnceFunc(func() { close(drained) }),
	}, nil
}

// Register adds RolloutService to a server.
func (s *Service) Register(registrar grpc.ServiceRegistrar) {
	rolloutv1.RegisterRolloutServiceServer(registrar, s)
}

// Run steers the agents until ctx ends. It is called once, and fails only if what was kept can't be read.
func (s *Service) Run(ctx context.Context) error {
	switch err := s.agents.load(ctx); {
	case err != nil && ctx.Err() == nil:
		return fmt.Errorf("load rollouts: %w", err)
	case err != nil:
		return nil //nolint:nilerr // told to end before it began
	}

	close(s.loaded)

	shared := s.agents.shared

	var running sync.WaitGroup

	for _, task := range []func(context.Context){
		shared.statuses.run, shared.outcomes.run, shared.outcomes.keep, shared.fleet.worker.run, s.follower.run,
	} {
		running.Go(func() { task(ctx) })
	}

	running.Wait()
	s.agents.running.Wait()

	return nil
}

// Drain ends watches, so that a server can stop gracefully.
func (s *Service) Drain() { s.drain() }

// Ready says why not every declared agent has its stable revision running, routed and ready; nil once all have.
func (s *Service) Ready(context.Context) error {
	select {
	case <-s.loaded:
	default:
		return fault.New(codes.Unavailable, "STARTING", "rollouts are being loaded")
	}

	var missing []error

	if lines, looked := s.follower.lines(); !looked && s.follower.source != (nothing{}) {
		missing = append(missing, errors.New("it is not known yet which agents are declared"))
	} else if len(s.agents.all()) == 0 && len(lines) > 0 {
		missing = append(missing, errors.New(strings.Join(lines, "; ")))
	}

	for _, agent := range s.agents.all() {
		if lacks := agent.lacks(); lacks != "" {
			missing = append(missing, fmt.Errorf("agent %s: %s", agent.name, lacks))
		}
	}

	return errors.Join(missing...)
}

// startGrace is how long a call waits for a controller that starts. One that does not lead never does: the call has come to
// it because its leading has ended just now, and is to be made again, to the one that leads.
const startGrace = 2 * time.Second

// ready waits until what was kept is known, for a while.
func (s *Service) ready(ctx context.Context) error {
	select {
	case <-s.loaded: // also for one who has had enough already
		return nil
	default:
	}

	ctx, cancel := context.WithTimeout(ctx, startGrace)
	defer cancel()

	select {
	case <-s.loaded:
		return nil
	case <-s.drained:
		return goingAway()
	case <-ctx.Done():
		return fault.New(codes.Unavailable, "STARTING", "the controller is starting; ask again")
	}
}
