package rpc

import (
	"errors"
	"strings"

	_ "google.golang.org/grpc/xds" // registers the resolver of xds targets, which reads the bootstrap that the process began with
)

const (
	// ServicePort is the port under which the mesh knows every gRPC service.
	ServicePort = "9000"

	meshScheme = "xds:"
)

// Host returns the name under which the mesh knows a service.
func Host(namespace, service string) string { return service + "." + namespace + ".svc.cluster.local" }

// Target returns what to dial for a service of the mesh, such as xds:///billing.default.svc.cluster.local:9000.
func Target(namespace, service string) string {
	return meshScheme + "///" + Host(namespace, service) + ":" + ServicePort
}

// isMesh reports whether the mesh resolves and secures the target.
func isMesh(target string) bool { return strings.HasPrefix(target, meshScheme) }

// checkBootstrap tells in time what would otherwise look like a service that is never there.
func checkBootstrap(getenv func(string) string) error {
	if getenv("GRPC_XDS_BOOTSTRAP") == "" && getenv("GRPC_XDS_BOOTSTRAP_CONFIG") == "" {
		return errors.New("the mesh needs its bootstrap: GRPC_XDS_BOOTSTRAP must name its file when the process starts")
	}

	return nil
}
