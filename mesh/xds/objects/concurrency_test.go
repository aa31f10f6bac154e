package objects_test

import (
	"fmt"
	"strconv"
	"sync"
	"testing"

	networkingv1 "istio.io/client-go/pkg/apis/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/serinhq/serin/mesh/xds/objects"
)

// TestConcurrentWriters has writers count in one object, by updates that conflict and by patches that test, while
// statuses are written, snapshots are taken and a watch looks on: no count is lost and none is seen twice.
func TestConcurrentWriters(t *testing.T) {
	const writers, each = 4, 15

	w := newWorld(t, objects.Config{Dir: t.TempDir()})
	created := w.create(billing)
	w.patch("billing", types.MergePatchType, `{"metadata":{"annotations":{"n":"0"}}}`)

	watching := w.watch(metav1.ListOptions{ResourceVersion: created.ResourceVersion})
	counts := make(chan []string, 1)

	go func() { counts <- watchCounts(watching, strconv.Itoa(writers*each)) }()

	var group sync.WaitGroup

	for writer := range writers {
		group.Go(func() {
			for range each {
				if writer%2 == 0 {
					w.countByUpdate()
				} else {
					w.countByPatch()
				}
			}
		})
	}

	group.Go(func() {
		for n := range 50 {
			_ = w.store.SetStatus(objects.VirtualService, "default", "billing", 1,
				objects.Condition{Type: "Reconciled", Status: metav1.ConditionTrue, Message: strconv.Itoa(n)})
			_ = w.store.Snapshot()
		}
	})

	group.Wait()

	if got := w.store.Snapshot().VirtualServices[0].Annotations["n"]; got != strconv.Itoa(writers*each) {
		t.Errorf("counted to %s", got)
	}

	select {
	case seen := <-counts:
		for i, n := range seen {
			if n != strconv.Itoa(i) {
				t.Fatalf("the watch saw %v", seen)
			}
		}
	case <-soon(t).Done():
		t.Fatal("the watch did not see the last count")
	}
}

// watchCounts returns the counts that a watch saw, each once, up to the last.
func watchCounts(w watch.Interface, last string) []string {
	var seen []string

	for event := range w.ResultChan() {
		n := event.Object.(*networkingv1.VirtualService).Annotations["n"]
		if len(seen) == 0 || seen[len(seen)-1] != n {
			seen = append(seen, n)
		}

		if n == last {
			break
		}
	}

	return seen
}

func (w *world) countByUpdate() {
	for {
		vs, err := w.services().Get(w.t.Context(), "billing", metav1.GetOptions{})
		if err != nil {
			w.t.Error(err)

			return
		}

		n, _ := strconv.Atoi(vs.Annotations["n"])
		vs.Annotations["n"] = strconv.Itoa(n + 1)

		_, err = w.services().Update(w.t.Context(), vs, metav1.UpdateOptions{})
		if !apierrors.IsConflict(err) {
			if err != nil {
				w.t.Error(err)
			}

			return
		}
	}
}

func (w *world) countByPatch() {
	for {
		n, _ := strconv.Atoi(w.store.Snapshot().VirtualServices[0].Annotations["n"])
		patch := fmt.Sprintf(`[{"op":"test","path":"/metadata/annotations/n","value":"%d"},{"op":"replace","path":"/metadata/annotations/n","value":"%d"}]`, n, n+1)

		_, err := w.services().Patch(w.t.Context(), "billing", types.JSONPatchType, []byte(patch), metav1.PatchOptions{})
		if !apierrors.IsInvalid(err) {
			if err != nil {
				w.t.Error(err)
			}

			return
		}
	}
}

// TestChanged follows the store as a translator does: the last state is always reached.
func TestChanged(t *testing.T) {
	w := newWorld(t, objects.Config{})
	w.create(billing)

	const last = "50"
	done := make(chan struct{})

	go func() {
		defer close(done)

		for {
			changed := w.store.Changed()
			if w.store.Snapshot().VirtualServices[0].Labels["n"] == last {
				return
			}

			<-changed
		}
	}()

	for n := range 51 {
		w.patch("billing", types.MergePatchType, fmt.Sprintf(`{"metadata":{"labels":{"n":"%d"}}}`, n))
	}

	select {
	case <-done:
	case <-soon(t).Done():
		t.Fatal("the last change was missed")
	}
}
