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

	known, _, err := readCatalogue(w.config.Catalogue)
	if err != nil {
		return nil, err
	}

	service, err := tools.New(tools.Config{
		Context: store, Servers: known.Servers, Grants: known.Grants, Telemetry: w.telemetry,
	})
	if err != nil {
		return nil, err
	}

	// Other servers need another process: the supervisor starts one then.
	follow, err := w.followCatalogue(func(now *catalogue) error {
		service.SetGrants(now.Grants)

		return nil
	})
	if err != nil {
		return nil, err
	}

	return &room{
		register: service.Register,
		policy:   service.Policy(),
		checks: []health.Check{
			w.reachable(rpc.Context),
			// An agent that needs what is missing is not ready itself. It must not keep the others' tools from them.
			{Name: "tool servers", TTL: healthTTL, Func: service.Ready, Informative: true},
		},
		tasks: []drain.Task{{Name: "tool servers", Run: service.Run}, follow},
		drain: service.Drain,
		close: service.Close,
	}, nil
}
