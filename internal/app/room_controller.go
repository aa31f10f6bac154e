package app

import (
	"context"
	"errors"

	"github.com/serinhq/serin/internal/drain"
	"github.com/serinhq/serin/internal/health"
	"github.com/serinhq/serin/internal/rpc"
	"github.com/serinhq/serin/mesh/controller"
	"github.com/serinhq/serin/mesh/controller/sqlite"
	"github.com/serinhq/serin/mesh/istio"

	workloadv1 "github.com/serinhq/serin/gen/serin/workload/v1"
)

// controllerRoom decides about rollouts.
func (w *workload) controllerRoom(ctx context.Context) (*room, error) {
	settings := w.config.Controller
	if settings.Cluster != nil {
		return w.clusterRoom(ctx)
	}

	client, err := meshClient(w.config.Targets[meshAPIName], w.config.Certificates, w.telemetry.Logger)
	if err != nil {
		return nil, err
	}

	router, err := istio.New(istio.Config{Client: client, Propagation: istio.Reconciled{}})
	if err != nil {
		return nil, err
	}

	conversations, err := w.contextClient()
	if err != nil {
		return nil, err
	}

	supervisor, err := w.dial(rpc.Supervisor)
	if err != nil {
		return nil, err
	}

	store, err := sqlite.Open(ctx, sqlite.Config{Path: settings.Database})
	if err != nil {
		return nil, err
	}

	if err := succeed(ctx, store, settings.Revisions); err != nil {
		return nil, errors.Join(err, store.Close())
	}

	service, err := controller.New(controller.Config{
		Namespace: w.config.Namespace, Agents: settings.Agents, Router: router,
		Workloads: workloadv1.NewWorkloadServiceClient(supervisor), Context: conversations, Store: store,
		Telemetry: w.telemetry,
	})
	if err != nil {
		return nil, errors.Join(err, store.Close())
	}

	return &room{
		register: service.Register,
		policy:   controller.Policy(),
		checks:   []health.Check{{Name: "agents", TTL: healthTTL, Func: service.Ready}},
		tasks:    []drain.Task{{Name: "rollouts", Run: service.Run}},
		close:    store.Close,
	}, nil
}
