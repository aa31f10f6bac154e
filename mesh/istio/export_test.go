package istio

import (
	versioned "istio.io/client-go/pkg/clientset/versioned"
	"pgregory.net/rapid"
)

// Cluster is the tests' API server, for tests from outside of the package.
type Cluster struct{ *server }

// NewCluster makes an empty one.
func NewCluster() Cluster { return Cluster{newServer()} }

// Client reaches it.
func (c Cluster) Client(t rapid.TB) versioned.Interface { return c.client(t) }

// Reconcile says that every proxy has everything.
func (c Cluster) Reconcile() { c.reconcileAll() }

// YAML prints all objects.
func (c Cluster) YAML() string { return c.yaml() }

// Writes are the methods and paths of all writes so far.
func (c Cluster) Writes() []string { return c.writes }
