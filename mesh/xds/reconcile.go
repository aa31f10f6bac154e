package xds

import (
	"maps"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/serinhq/serin/mesh/xds/objects"
)

// resourceKey names a resource.
type resourceKey struct {
	kind Type
	name string
}

// awaited is an object whose generation not everyone has yet.
type awaited struct {
	generation int64
	// resources are those that are made of it, or were until now.
	resources map[resourceKey]struct{}
	// notBefore lets streams come back that were there before the start.
	notBefore time.Time
	// problems are why it is not in force as it is written.
	problems []string
	// written is the condition that its status has already.
	written string
}

// reconciler knows which objects wait for streams. Only the goroutine that publishes uses it.
type reconciler struct {
	settled  time.Time
	seen     map[Ref]string
	problems map[Ref][]string
	pending  map[Ref]*awaited
	origins  map[Ref]map[resourceKey]struct{}
	started  bool
}

func newReconciler(settled time.Time) *reconciler {
	return &reconciler{settled: settled, pending: map[Ref]*awaited{}}
}

// note compares a translation with the one before. It returns the problems that are new.
func (r *reconciler) note(snapshot objects.Snapshot, resources Resources, problems []Problem) []Problem {
	before := r.origins
	r.origins = originsOf(resources)
	found, fresh := r.sort(problems)
	seen := map[Ref]string{}

	for _, object := range all(snapshot) {
		ref := refOf(object)
		seen[ref] = stamp(object)

		changed := seen[ref] != r.seen[ref] && ref.Kind != objects.WorkloadEntry
		if changed && !r.started {
			changed = !reconciled(object)
		}

		if changed || !slices.Equal(found[ref], r.problems[ref]) {
			r.await(object, found[ref], before[ref])
		}
	}

	for ref := range r.pending {
		if _, exists := seen[ref]; !exists {
			delete(r.pending, ref)
		}
	}

	r.seen, r.problems, r.started = seen, found, true

	return fresh
}

func (r *reconciler) await(object metav1.Object, problems []string, before map[resourceKey]struct{}) {
	ref := refOf(object)
	entry := &awaited{generation: object.GetGeneration(), problems: problems, resources: map[resourceKey]struct{}{}}

	if !r.started {
		entry.notBefore = r.settled
	}

	if earlier := r.pending[ref]; earlier != nil {
		maps.Copy(entry.resources, earlier.resources)
		entry.notBefore = earlier.notBefore
	}

	maps.Copy(entry.resources, before)
	maps.Copy(entry.resources, r.origins[ref])
	r.pending[ref] = entry
}

// sort orders problems by object, and returns those that were not there before.
func (r *reconciler) sort(problems []Problem) (map[Ref][]string, []Problem) {
	found := map[Ref][]string{}

	var fresh []Problem

	for _, problem := range problems {
		line := problem.Field + ": " + problem.Message
		if slices.Contains(found[problem.Object], line) {
			continue
		}

		found[problem.Object] = append(found[problem.Object], line)

		if !slices.Contains(r.problems[problem.Object], line) {
			fresh = append(fresh, problem)
		}
	}

	return found, fresh
}

func originsOf(resources Resources) map[Ref]map[resourceKey]struct{} {
	origins := map[Ref]map[resourceKey]struct{}{}

	for kind, named := range resources {
		for name, resource := range named {
			for _, ref := range resource.Origins {
				if origins[ref] == nil {
					origins[ref] = map[resourceKey]struct{}{}
				}

				origins[ref][resourceKey{Type(kind), name}] = struct{}{}
			}
		}
	}

	return origins
}

// all are the objects of a snapshot.
func all(snapshot objects.Snapshot) []metav1.Object {
	var list []metav1.Object

	list = gather(list, snapshot.VirtualServices)
	list = gather(list, snapshot.DestinationRules)
	list = gather(list, snapshot.ServiceEntries)
	list = gather(list, snapshot.WorkloadEntries)
	list = gather(list, snapshot.AuthorizationPolicies)

	return gather(list, snapshot.PeerAuthentications)
}

func gather[T metav1.Object](list []metav1.Object, more []T) []metav1.Object {
	for _, object := range more {
		list = append(list, object)
	}

	return list
}
