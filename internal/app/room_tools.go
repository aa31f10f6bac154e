package app

import (
	"github.com/serinhq/serin/internal/drain"
	"github.com/serinhq/serin/internal/health"
	"github.com/serinhq/serin/internal/rpc"
	"github.com/serinhq/serin/services/tools"
)

func (w *workload) toolsRoom() (*room, error) {
	store, err := w.contextClient()
	if err != nil {
		return nil, err
	}

	service, err := tools.New(tools.Config{
		Context: store, Servers: w.config.Tools.Servers, Grants: w.config.Tools.Grants, Telemetry: w.telemetry,
	})
	if err != nil {
		return nil, err
	}

	return &room{
		register: service.Register,
		policy:   service.Policy(),
		checks:   []health.Check{w.reachable(rpc.Context), {Name: "tool servers", TTL: healthTTL, Func: service.Ready}},
		tasks:    []drain.Task{{Name: "tool servers", Run: service.Run}},
		drain:    service.Drain,
		close:    service.Close,
	}, nil
}
