package app

import (
	"context"
	"strconv"

	"github.com/serinhq/serin/internal/agentspec"
	"github.com/serinhq/serin/internal/drain"
	"github.com/serinhq/serin/internal/health"
	"github.com/serinhq/serin/internal/rpc"
	"github.com/serinhq/serin/services/agent"
)

func (w *workload) agentRoom() (*room, error) {
	settings := w.config.Agent

	spec, err := agentspec.LoadResolved(settings.File, settings.Revision)
	if err != nil {
		return nil, err
	}

	if err := w.scale(&spec); err != nil {
		return nil, err
	}

	store, err := w.contextClient()
	if err != nil {
		return nil, err
	}

	tools, err := w.toolsClient()
	if err != nil {
		return nil, err
	}

	peers := make([]agent.Peer, len(settings.Peers))
	for i, peer := range settings.Peers {
		peers[i] = agent.Peer{Name: peer.Name, Description: peer.Description}
	}

	if w.config.plane() != planeEmbedded {
		peers = peersOf(spec)
	}

	retriever, err := w.retriever()
	if err != nil {
		return nil, err
	}

	service, err := agent.New(agent.Config{
		Agent: spec, Revision: settings.Revision, Peers: peers,
		Context: store, Tools: tools, Handoff: w.handoffClient, Retriever: retriever,
		LLM:      agent.LLM{BaseURL: w.llmURL(), HTTPClient: w.llmClient()},
		LeaseTTL: w.leaseTTL(), Telemetry: w.telemetry,
	})
	if err != nil {
		return nil, err
	}

	return &room{
		register: service.Register,
		policy:   agent.Policy(nil), // whom the mesh lets through
		checks:   w.agentChecks(spec, service),
		tasks:    []drain.Task{},
		drain:    func(ctx context.Context) error { return service.Drain(ctx) },
	}, nil
}

// segmentsVariable tells an agent's process how many segments it may run at once. Its revision's file can't: the limit is
// no part of the revision, so that it may change while the file does not.
const segmentsVariable = "SERIN_MAX_CONCURRENT_SEGMENTS"

// scale sets what the process is told beside its file.
func (w *workload) scale(spec *agentspec.Agent) error {
	told := w.env.get(segmentsVariable)
	if told == "" {
		return nil
	}

	limit, err := strconv.ParseInt(told, 10, 32)
	if err != nil || limit < 1 {
		return usageErrorf("%s %q: must be a whole number of at least 1", segmentsVariable, told)
	}

	spec.Spec.Scaling.MaxConcurrentSegments = int32(limit)

	return nil
}

// agentChecks are what an agent can't work without.
func (w *workload) agentChecks(spec agentspec.Agent, service *agent.Service) []health.Check {
	checks := []health.Check{w.reachable(rpc.Context), w.llmReady()}
	if len(spec.Spec.Tools) > 0 {
		checks = append(checks, health.Check{
			Name: "tools", TTL: healthTTL, Grace: dependencyGrace, Func: service.CheckTools,
		})
	}

	return checks
}

// peersOf are the agents that it hands off to, as its revision describes them.
func peersOf(spec agentspec.Agent) []agent.Peer {
	peers := make([]agent.Peer, len(spec.Spec.Handoffs))
	for i, handoff := range spec.Spec.Handoffs {
		peers[i] = agent.Peer{Name: handoff.Agent, Description: handoff.When}
	}

	return peers
}
