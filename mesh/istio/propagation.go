package istio

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"time"

	networking "istio.io/client-go/pkg/apis/networking/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"

	metaapi "istio.io/api/meta/v1alpha1"
)

// reconciledCondition is the condition that tells how far a control plane is with an object.
const reconciledCondition = "Reconciled"

// Reconciled believes an object's status: its condition Reconciled is True, and status.observedGeneration is
// metadata.generation. The embedded control plane writes it once every stream has taken the object.
type Reconciled struct{}

// Propagated reports whether the status says that everyone has this generation.
func (Reconciled) Propagated(_ context.Context, object runtime.Object) (bool, error) {
	switch object := object.(type) {
	case *networking.VirtualService:
		return reconciled(&object.Status, object.Generation), nil
	case *networking.DestinationRule:
		return reconciled(&object.Status, object.Generation), nil
	default:
		return false, fmt.Errorf("propagation of %T: only of VirtualService and DestinationRule", object)
	}
}

func reconciled(status *metaapi.IstioStatus, generation int64) bool {
	if status.GetObservedGeneration() != generation {
		return false
	}

	for _, condition := range status.GetConditions() {
		if condition.GetType() == reconciledCondition {
			return condition.GetStatus() == "True"
		}
	}

	return false
}

// Dwell takes an object for propagated once this version of it has been seen for a while: istiod does not tell.
type Dwell struct {
	long time.Duration

	mu     sync.Mutex
	seen   map[string]sight
	pruned time.Time
}

type sight struct {
	version      string
	since, asked time.Time
}

// forgetAfter is how long a Dwell keeps an object that nobody asks for: by then it is gone, or asked for so seldom that to
// wait once more does no harm.
const forgetAfter = time.Hour

// NewDwell makes a Dwell; 2 s is istiod's debounce and push with room to spare.
func NewDwell(long time.Duration) *Dwell {
	return &Dwell{long: long, seen: map[string]sight{}}
}

// Propagated reports whether this version of the object was first seen long enough ago.
func (d *Dwell) Propagated(_ context.Context, object runtime.Object) (bool, error) {
	accessor, err := meta.Accessor(object)
	if err != nil {
		return false, fmt.Errorf("propagation of %T: %w", object, err)
	}

	version := fmt.Sprint(accessor.GetUID(), "/", accessor.GetGeneration())
	if accessor.GetGeneration() == 0 {
		version = accessor.GetResourceVersion()
	}

	return d.look(fmt.Sprintf("%T/%s/%s", object, accessor.GetNamespace(), accessor.GetName()), version), nil
}

func (d *Dwell) look(name, version string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()

	now := time.Now()
	d.prune(now)

	seen := d.seen[name]
	if seen.version != version {
		seen = sight{version: version, since: now}
	}

	seen.asked = now
	d.seen[name] = seen

	return now.Sub(seen.since) >= d.long
}

func (d *Dwell) prune(now time.Time) {
	if now.Sub(d.pruned) < forgetAfter {
		return
	}

	d.pruned = now
	maps.DeleteFunc(d.seen, func(_ string, s sight) bool { return now.Sub(s.asked) >= forgetAfter })
}
