package rpc

import (
	"context"

	"google.golang.org/grpc/metadata"
)

// The headers that the mesh routes by.
const (
	// HeaderRevision names, in a request, the revision that must answer, and in an answer the one that does.
	HeaderRevision = "serin-revision"
	// HeaderTenant names the tenant that a request is made for.
	HeaderTenant = "serin-tenant"
)

// Route is where the mesh shall bring a call. Empty fields mean that any will do.
type Route struct {
	// Revision is the short name of the revision that the conversation keeps.
	Revision string
	// Tenant is who the call is made for.
	Tenant string
}

type routeKey struct{}

// WithRoute returns a context whose calls are routed so. A call that a server refuses because the conversation keeps
// another revision (WRONG_REVISION), or since its revision is withdrawn (REVISION_WITHDRAWN), is sent again with the
// revision that the refusal names, as long as no answer has come.
func WithRoute(ctx context.Context, route Route) context.Context {
	return context.WithValue(ctx, routeKey{}, route)
}

func routeOf(ctx context.Context) (Route, bool) {
	route, ok := ctx.Value(routeKey{}).(Route)

	return route, ok
}

// outgoing returns a context that sends the route's headers, and no other values of them: duplicates would be joined
// by commas, and then match no route.
func (r Route) outgoing(ctx context.Context) context.Context {
	headers, _ := metadata.FromOutgoingContext(ctx)
	if headers == nil {
		headers = metadata.MD{}
	}

	set(headers, HeaderRevision, r.Revision)
	set(headers, HeaderTenant, r.Tenant)

	return metadata.NewOutgoingContext(ctx, headers)
}

func set(headers metadata.MD, key, value string) {
	if value == "" {
		headers.Delete(key)
	} else {
		headers.Set(key, value)
	}
}
