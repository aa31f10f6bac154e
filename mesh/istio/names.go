package istio

import (
	"strings"

	api "istio.io/api/networking/v1alpha3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// manager is who writes, as metadata.managedFields show it; managedLabel marks objects that Serin created.
const (
	manager      = "serin"
	managedLabel = "app.kubernetes.io/managed-by"
	domain       = ".svc.cluster.local"
)

const (
	pinPrefix    = "pin-"
	anchorPrefix = "anchor-"
	subsetPrefix = "r-"
	excludeName  = "exclude"
	splitName    = "split"
)

// host is the name that clients dial.
func (a Agent) host() string { return a.Name + "." + a.Namespace + domain }

// is reports whether a host in an object of the agent's namespace means the agent, as Istio resolves short names.
func (a Agent) is(host string) bool {
	if !strings.Contains(host, ".") {
		host += "." + a.Namespace + domain
	}

	return host == a.host()
}

// foreign reports whether a host beside the agent's is another service of the mesh, or several. Other names, such as
// billing.example.com, are names of the agent's.
func (a Agent) foreign(host string) bool {
	own := a.Name + "." + a.Namespace

	switch suffix, wild := strings.CutPrefix(host, "*"); {
	case a.is(host), host == own, host == own+".svc", strings.HasPrefix(host, own+".svc."):
		return false
	case !strings.Contains(host, "."), wild && strings.HasSuffix(a.host(), suffix):
		return true
	default:
		return strings.HasSuffix(host, ".svc") || strings.Contains(host, ".svc.")
	}
}

// reserve is the name of Serin's object when the agent's own name is taken by an object about something else.
func (a Agent) reserve() string { return a.Name + "-serin" }

// destination is a revision's subset.
func (a Agent) destination(revision string) *api.Destination {
	destination := &api.Destination{Host: a.host(), Subset: subsetPrefix + revision}
	if a.Port != 0 {
		destination.Port = &api.PortSelector{Number: a.Port}
	}

	return destination
}

// target names where a destination leads: the revision if it is one of the agent's, else host and subset.
func (a Agent) target(destination *api.Destination) string {
	revision, ok := strings.CutPrefix(destination.GetSubset(), subsetPrefix)
	if ok && a.is(destination.GetHost()) {
		return revision
	}

	return destination.GetHost() + ":" + destination.GetSubset()
}

// isRevision reports whether what [Agent.target] returned is one of the agent's revisions.
func (Agent) isRevision(target string) bool { return !strings.Contains(target, ":") }

// meta begins an object of Serin's own.
func (a Agent) meta(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: a.Namespace, Name: name, Labels: map[string]string{managedLabel: manager}}
}
