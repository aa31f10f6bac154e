// Package istio turns an agent's split into Istio's objects and keeps them so: VirtualService, DestinationRule,
// AuthorizationPolicy. It writes through istio.io/client-go what belongs to Serin, and nothing else.
package istio

import (
	"cmp"
	"context"

	versioned "istio.io/client-go/pkg/clientset/versioned"
	"k8s.io/apimachinery/pkg/runtime"
)

// What Serin writes into objects and headers.
const (
	// IntentAnnotation holds, as JSON, the [Intent] and what Serin wrote for it. It is on every VirtualService and
	// DestinationRule that Serin steers, but for the DestinationRules of adopted agents.
	IntentAnnotation = "serin.dev/intent"
	// DriftAnnotation on the VirtualService says what becomes of drift: correct (default) or hold.
	DriftAnnotation = "serin.dev/drift"
	// RevisionLabel is the pod label that subsets select by.
	RevisionLabel = "serin.dev/revision"
	// RevisionHeader carries a conversation's pin, AnchorHeader is never sent, TenantHeader names the tenant.
	RevisionHeader = "serin-revision"
	AnchorHeader   = "serin-anchor"
	TenantHeader   = "serin-tenant"
)

// Intent is the decision that the objects carry.
type Intent struct {
	Attempt   int64  `json:"attempt"`
	Seq       int64  `json:"seq"`
	Phase     string `json:"phase"`
	Stable    string `json:"stable"`
	Candidate string `json:"candidate,omitempty"`
	// Weight is the candidate's share in percent.
	Weight int `json:"weight"`
}

// Routing is what an agent's objects should say. Revisions are short names.
type Routing struct {
	Intent Intent
	// Live are the revisions that have a subset, an anchor and a pin route, stable first.
	Live []string
	// Redirects are withdrawn revisions: their pin routes lead to the subset of another.
	Redirects map[string]string
	// ExcludedTenants never meet a candidate. They are no part of the decision's number: the last writer's count.
	ExcludedTenants []string
}

// Agent names whose objects are meant.
type Agent struct {
	Namespace, Name string
	// Port is written into destinations; 0 leaves it out: then the port that was dialled is followed.
	Port uint32
	// Adopt drives hand-written subsets named stable and canary, weights only.
	Adopt bool
}

// Progress is how far the objects are.
type Progress struct {
	// Done says that the objects carry the routing, and that all proxies have it.
	Done bool
	// Waiting says, in words, what it waits for.
	Waiting string
	// Observed is the intent that the objects carry after this; nil if they carry none.
	Observed *Intent
	// Withdrawn are the revisions that the objects show as withdrawn, with the revision that serves in their place. A
	// routing that leads to one of them is stale, even if its number is the higher one.
	Withdrawn map[string]string
	// Routed are the revisions that have a subset or a route.
	Routed []string
	// Weight is the candidate's weight in the split route as it is.
	Weight int
	// Drift says, in words, what someone else changed; empty if nothing.
	Drift string
	// Problem says, in words, what of others' making is in the way; empty if nothing.
	Problem string
	// Slot is the adopted subset that the stable revision is in; empty without adoption.
	Slot string
}

// Propagation knows whether all proxies have an object as it is.
type Propagation interface {
	// Propagated reports whether everyone who needs the object has taken this version of it.
	Propagated(ctx context.Context, object runtime.Object) (bool, error)
}

// Config makes a [Router].
type Config struct {
	// Client reaches the Kubernetes API, or what stands for it on one machine. Required.
	Client versioned.Interface
	// Propagation is [Reconciled] on one machine and [Dwell] under istiod. Required.
	Propagation Propagation
	// TrustDomain is of the identities that may call agents; cluster.local by default.
	TrustDomain string
}

func (c Config) withDefaults() Config {
	c.TrustDomain = cmp.Or(c.TrustDomain, "cluster.local")

	return c
}
