package rpc

import (
	"context"
	"fmt"
	"strings"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
)

// DefaultTrustDomain is Istio's default as well.
const DefaultTrustDomain = "cluster.local"

// The service accounts of the platform's own processes. No agent may begin with serin-.
const (
	Gateway    = "serin-gateway"
	Context    = "serin-context"
	Tools      = "serin-tools"
	Ambassador = "serin-ambassador"
	Supervisor = "serin-supervisor"
	Operator   = "serin-operator"
	Mesh       = "serin-mesh"
	Controller = "serin-controller"
)

const reservedPrefix = "serin-"

// Identity is who a workload is: spiffe://<trust domain>/ns/<namespace>/sa/<name>, the form that Istio gives out too.
type Identity struct{ TrustDomain, Namespace, Name string }

// String returns the SPIFFE ID.
func (id Identity) String() string {
	return "spiffe://" + id.TrustDomain + "/ns/" + id.Namespace + "/sa/" + id.Name
}

// IsAgent reports whether the identity is an agent's rather than one of the platform's own.
func (id Identity) IsAgent() bool {
	return id.Name != "" && !strings.HasPrefix(id.Name, reservedPrefix)
}

// ParseIdentity reads a SPIFFE ID of the form spiffe://<trust domain>/ns/<namespace>/sa/<name>.
func ParseIdentity(uri string) (Identity, error) {
	id, err := spiffeid.FromString(uri)
	if err != nil {
		return Identity{}, fmt.Errorf("identity %q: %w", uri, err)
	}

	parts := strings.Split(id.Path(), "/")
	if len(parts) != 5 || parts[1] != "ns" || parts[3] != "sa" {
		return Identity{}, fmt.Errorf("identity %q: must look like spiffe://<trust domain>/ns/<namespace>/sa/<name>", uri)
	}

	return Identity{TrustDomain: id.TrustDomain().Name(), Namespace: parts[2], Name: parts[4]}, nil
}

type peerKey struct{}

// Peer returns who calls: the verified peer of the RPC that is being served.
func Peer(ctx context.Context) (Identity, bool) {
	id, ok := ctx.Value(peerKey{}).(Identity)

	return id, ok
}

// ContextWithPeer returns a context that [Peer] reads id from. The server sets it; tests of handlers may.
func ContextWithPeer(ctx context.Context, id Identity) context.Context {
	return context.WithValue(ctx, peerKey{}, id)
}
