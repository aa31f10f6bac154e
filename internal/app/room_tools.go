package app

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/serinhq/serin/internal/agentspec"
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

	known, _, err := w.readCatalogue()
	if err != nil {
		return nil, err
	}

	service, err := tools.New(tools.Config{
		Context: store, Servers: known.Servers, Grants: known.Grants, Telemetry: w.telemetry,
	})
	if err != nil {
		return nil, err
	}

	others, served := make(chan struct{}, 1), written(known.Servers)

	follow, err := w.followCatalogue(func(now *catalogue) error {
		service.SetGrants(now.Grants)

		if written(now.Servers) != served {
			select {
			case others <- struct{}{}:
			default:
			}
		}

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
		tasks: []drain.Task{{Name: "tool servers", Run: service.Run}, follow, w.endWith(others, service.Drain)},
		drain: service.Drain,
		close: service.Close,
	}, nil
}

// endWith ends the process once there are other tool servers: those need another process. A supervisor starts one by
// itself, and a pod's container is started again. Calls that run are let finish first.
func (w *workload) endWith(others <-chan struct{}, finish func(context.Context) error) drain.Task {
	return drain.Task{Name: "tool servers' declarations", Run: func(ctx context.Context) error {
		select {
		case <-ctx.Done():
			return nil
		case <-others:
		}

		if w.config.plane() == planeEmbedded {
			<-ctx.Done()

			return nil
		}

		limited, cancel := context.WithTimeout(ctx, cmp.Or(time.Duration(w.config.Drain), drainLimit))
		defer cancel()

		if err := finish(limited); err != nil {
			w.telemetry.Logger.WarnContext(ctx, "calls are cut off", "error", err)
		}

		return errOtherServers
	}}
}

// written is how declarations read; the room may complete its own copy of them.
func written(servers []agentspec.MCPServer) string {
	data, err := json.Marshal(servers)
	if err != nil { // they came from JSON
		return err.Error()
	}

	return string(data)
}

var errOtherServers = errors.New("other tool servers are declared: the process ends, to be started again with them")
