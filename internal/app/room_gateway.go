package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffetls/tlsconfig"
	"google.golang.org/grpc/codes"

	"github.com/serinhq/serin/gateway"
	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
	handoffv1 "github.com/serinhq/serin/gen/serin/handoff/v1"
	rolloutv1 "github.com/serinhq/serin/gen/serin/rollout/v1"
	"github.com/serinhq/serin/internal/drain"
	"github.com/serinhq/serin/internal/fault"
	"github.com/serinhq/serin/internal/health"
	"github.com/serinhq/serin/internal/rpc"
	"github.com/serinhq/serin/mesh/identity"
)

func (w *workload) gatewayRoom(ctx context.Context) (*room, error) {
	store, err := w.contextClient()
	if err != nil {
		return nil, err
	}

	controller, err := w.dial(rpc.Controller)
	if err != nil {
		return nil, err
	}

	var agents atomic.Pointer[catalogue]

	config := gateway.Config{
		Context: store, Handoff: w.knownAgent(&agents), Rollouts: rolloutv1.NewRolloutServiceClient(controller),
		Telemetry: w.telemetry, Version: version(), OpenAPI: w.env.OpenAPI, Door: w.config.Gateway.Door,
	}

	if w.config.Gateway.TokenFile != "" {
		if config.Tokens, err = gateway.LoadTokens(w.config.Gateway.TokenFile); err != nil {
			return nil, err
		}
	}

	if config.Redis, err = w.openRedis(); err != nil {
		return nil, err
	}

	service, err := gateway.New(config)
	if err != nil {
		return nil, err
	}

	follow, err := w.followCatalogue(func(now *catalogue) error {
		agents.Store(now)

		return setAgents(service, now)
	})
	if err != nil {
		return nil, err
	}

	public, unwatch, err := w.publicServings(ctx, service)
	if err != nil {
		return nil, err
	}

	checks := []health.Check{w.reachable(rpc.Context)}
	if config.Redis != nil {
		checks = append(checks, w.redisCheck(config.Redis))
	}

	return &room{
		pages:  service.Handler(),
		guard:  service.Authorize,
		checks: checks,
		serves: public,
		tasks:  []drain.Task{{Name: "dispatcher", Run: service.Run}, follow},
		drain:  func(context.Context) error { service.Drain(); return nil },
		close: func() error {
			unwatch()

			return errors.Join(service.Close(), config.Redis.Close())
		},
	}, nil
}

// knownAgent dials agents that there are; one that there is not shall fail at once rather than be waited for.
func (w *workload) knownAgent(agents *atomic.Pointer[catalogue]) func(string) (handoffv1.HandoffServiceClient, error) {
	return func(name string) (handoffv1.HandoffServiceClient, error) {
		switch now := agents.Load(); {
		case now.isEmpty(): // turns from before must not fail meanwhile
			return nil, fault.New(codes.Unavailable, "STARTING", "it is not known yet which agents there are")
		case !now.knows(name):
			return nil, fault.New(codes.NotFound, "AGENT_UNKNOWN", "there is no agent named %q", name)
		}

		return w.handoffClient(name)
	}
}

func setAgents(service *gateway.Service, now *catalogue) error {
	agents := make([]gateway.Agent, 0, len(now.Agents)+len(now.Leaving))

	for _, entry := range now.Agents {
		agent, err := gatewayAgent(entry)
		if err != nil {
			return err
		}

		agents = append(agents, agent)
	}

	for _, name := range now.Leaving {
		agents = append(agents, gateway.Agent{Name: name, Leaving: true})
	}

	return service.SetAgents(agents)
}

// publicServings are the gRPC door for clients from outside, with tokens if there are any; in a pod there is one only
// where a certificate is configured. The function ends what it needs.
func (w *workload) publicServings(ctx context.Context, service *gateway.Service) ([]serving, func(), error) {
	if w.config.plane() != planeEmbedded && w.config.Gateway.PublicTLS == "" {
		return nil, func() {}, nil
	}

	security, unwatch, err := w.publicTLS(ctx)
	if err != nil {
		return nil, nil, err
	}

	listener, err := w.config.listener("public")
	if err != nil {
		unwatch()

		return nil, nil, err
	}

	return []serving{grpcServing("public gRPC", service.NewPublicServer(security), listener)}, unwatch, nil
}

// publicTLS is by the platform's own CA, or by a certificate of the user's.
func (w *workload) publicTLS(ctx context.Context) (*tls.Config, func(), error) {
	if w.config.plane() != planeEmbedded {
		return secretTLS(w.config.Gateway.PublicTLS)
	}

	source, err := identity.Watch(ctx, w.config.Gateway.PublicCertificates)
	if err != nil {
		return nil, nil, fmt.Errorf("read the public certificate: %w", err)
	}

	return tlsconfig.TLSServerConfig(source), func() {}, nil
}

func gatewayAgent(agent agentEntry) (gateway.Agent, error) {
	cost, err := agent.Budgets.CostMicros()
	if err != nil {
		return gateway.Agent{}, usageErrorf("agent %s: spec.budgets.costUSD: %v", agent.Name, err)
	}

	budget := &eventv1.Budget{
		Steps: agent.Budgets.Steps, Tokens: agent.Budgets.Tokens, Hops: agent.Budgets.Hops, CostMicros: cost,
	}

	return gateway.Agent{
		Name: agent.Name, Description: agent.Description, Entry: agent.Entry, Budget: budget,
		Deadline: time.Duration(agent.Budgets.Deadline),
	}, nil
}

func (w *workload) leaseTTL() time.Duration { return time.Duration(w.config.LeaseTTL) }
