package app

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"time"

	"github.com/serinhq/serin/internal/drain"
	"github.com/serinhq/serin/internal/rpc"
	"github.com/serinhq/serin/mesh/xds"
	"github.com/serinhq/serin/mesh/xds/objects"
)

// meshRoom is the embedded control plane: Istio's objects behind a Kubernetes API, and their translation over xDS.
func (w *workload) meshRoom(_ context.Context) (*room, error) {
	store, err := objects.Open(objects.Config{
		Dir: w.config.Mesh.Directory, Validate: xds.Validate, Logger: w.telemetry.Logger,
	})
	if err != nil {
		return nil, err
	}

	server, err := xds.New(xds.Config{
		Objects: store, Directory: w.config.Mesh.Directory, TrustDomain: w.config.TrustDomain, Logger: w.telemetry.Logger,
	})
	if err != nil {
		return nil, errors.Join(err, store.Close())
	}

	api, err := w.meshAPI(store)
	if err != nil {
		return nil, errors.Join(err, store.Close())
	}

	return &room{
		register: server.Register,
		policy:   MeshPolicy(),
		serves:   []serving{api},
		tasks:    []drain.Task{{Name: "xds", Run: server.Run}},
		close:    store.Close,
	}, nil
}

// MeshPolicy says who may call the control plane: whoever is in the mesh. xDS clients of ours ask for state of the world.
func MeshPolicy() rpc.Policy {
	return rpc.Policy{
		"/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources": rpc.AnyWorkload,
		"/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources":  rpc.AnyWorkload,
	}
}

// meshAPI serves the objects to those who steer the mesh, and to the operator's kubectl.
func (w *workload) meshAPI(store *objects.Store) (serving, error) {
	listener, err := w.config.listener("api")
	if err != nil {
		return serving{}, err
	}

	security := w.credentials.ServerTLS(rpc.Names(rpc.Controller, rpc.Supervisor, rpc.Operator))
	security.NextProtos = []string{"h2", "http/1.1"}
	server := &http.Server{Handler: store.Handler(), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute}

	return serverServing("api", server, tls.NewListener(listener, security)), nil
}
