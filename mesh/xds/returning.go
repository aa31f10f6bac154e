package xds

import (
	"time"

	networkingv1 "istio.io/client-go/pkg/apis/networking/v1"
)

// returning are the proxies that were there before the control plane started, and will come back: grpc-go tries again
// after one second, and then less and less often. Until they are back, nobody can say that everyone knows a change.
// Only the goroutine that publishes uses it.
type returning struct {
	// settled is when a client may be taken to be back that has no listener of its own, limit when nobody is waited
	// for any more.
	settled, limit time.Time
	// listeners are those of each workload that was ready at the start, and is since. One of its ports will do.
	listeners map[Ref][]string
	started   bool
}

// note takes the workloads as they are. A workload that stopped being ready will not come back, or comes anew.
func (r *returning) note(entries []*networkingv1.WorkloadEntry) {
	still := map[Ref][]string{}

	for _, entry := range entries {
		ref, listeners := refOf(entry), inboundNames(entry)
		if ready(entry) && len(listeners) > 0 && (!r.started || len(r.listeners[ref]) > 0) {
			still[ref] = listeners
		}
	}

	r.listeners, r.started = still, true
}

// awaited reports whether somebody has yet to come back. Where nobody was there before, nobody is waited for.
func (r *returning) awaited(streams []*stream, now time.Time) bool {
	if len(r.listeners) == 0 || now.After(r.limit) {
		return false
	}

	if now.Before(r.settled) {
		return true
	}

	back := map[string]bool{}
	for _, stream := range streams {
		stream.asks(Listener, back)
	}

	for _, listeners := range r.listeners {
		if !anyOf(listeners, back) {
			return true
		}
	}

	return false
}

func anyOf(names []string, in map[string]bool) bool {
	for _, name := range names {
		if in[name] {
			return true
		}
	}

	return false
}

// asks adds the names of a type that a stream asks for.
func (s *stream) asks(kind Type, names map[string]bool) {
	s.mu.Lock()
	defer s.mu.Unlock()

	if s.channels[kind] == nil {
		return
	}

	for name := range s.channels[kind].names {
		names[name] = true
	}
}

// inboundNames are the listeners of a workload's own servers.
func inboundNames(entry *networkingv1.WorkloadEntry) []string {
	var names []string

	for port := range entry.Spec.GetPorts() {
		if at, ok := listensAt(&entry.Spec, port); ok {
			names = append(names, inboundName(at.Addr().String(), uint32(at.Port())))
		}
	}

	return names
}
