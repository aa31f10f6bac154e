package objects

import (
	"slices"

	networkingv1 "istio.io/client-go/pkg/apis/networking/v1"
	securityv1 "istio.io/client-go/pkg/apis/security/v1"
)

// Snapshot is every object at one moment, each kind sorted by namespace and name. It is shared: nobody may change it.
type Snapshot struct {
	// Version grows with every write that changed more than status. It goes on growing over restarts.
	Version uint64

	VirtualServices       []*networkingv1.VirtualService
	DestinationRules      []*networkingv1.DestinationRule
	ServiceEntries        []*networkingv1.ServiceEntry
	WorkloadEntries       []*networkingv1.WorkloadEntry
	AuthorizationPolicies []*securityv1.AuthorizationPolicy
	PeerAuthentications   []*securityv1.PeerAuthentication
}

// Snapshot returns the objects as they are.
func (s *Store) Snapshot() Snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()

	if s.state.snapshot == nil {
		snapshot := s.state.snap()
		s.state.snapshot = &snapshot
	}

	return *s.state.snapshot
}

func (s *state) snap() Snapshot {
	return Snapshot{
		Version:               s.content,
		VirtualServices:       collect[*networkingv1.VirtualService](s, VirtualService),
		DestinationRules:      collect[*networkingv1.DestinationRule](s, DestinationRule),
		ServiceEntries:        collect[*networkingv1.ServiceEntry](s, ServiceEntry),
		WorkloadEntries:       collect[*networkingv1.WorkloadEntry](s, WorkloadEntry),
		AuthorizationPolicies: collect[*securityv1.AuthorizationPolicy](s, AuthorizationPolicy),
		PeerAuthentications:   collect[*securityv1.PeerAuthentication](s, PeerAuthentication),
	}
}

// collect returns the typed objects of a kind.
func collect[T typed](s *state, kind string) []T {
	sorted := s.list(kind)
	objects := make([]T, 0, len(sorted))

	for _, object := range sorted {
		if typed, ok := object.typed.(T); ok {
			objects = append(objects, typed)
		}
	}

	return objects
}

// list returns the objects of a kind, sorted.
func (s *state) list(kind string) []*object {
	objects := make([]*object, 0, len(s.objects[kind]))
	for _, object := range s.objects[kind] {
		objects = append(objects, object)
	}

	slices.SortFunc(objects, func(a, b *object) int { return a.key.compare(b.key) })

	return objects
}

// Changed returns a channel that is closed with the next write that changes more than status. Taken before
// [Store.Snapshot], it misses nothing:
//
//	for {
//		changed := store.Changed()
//		translate(store.Snapshot())
//		select { case <-changed: case <-ctx.Done(): return }
//	}
//
// It stays open when the store is closed.
func (s *Store) Changed() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()

	return s.state.contentChanged
}
