package objects_test

import (
	"testing"

	networkingv1 "istio.io/client-go/pkg/apis/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/serinhq/serin/mesh/xds/objects"
)

func (w *world) setStatus(generation int64, conditions ...objects.Condition) *networkingv1.VirtualService {
	w.t.Helper()

	if err := w.store.SetStatus(objects.VirtualService, "default", "billing", generation, conditions...); err != nil {
		w.t.Fatal(err)
	}

	return w.store.Snapshot().VirtualServices[0]
}

func TestSetStatus(t *testing.T) {
	w := newWorld(t, objects.Config{Dir: t.TempDir()})
	created := w.create(billing)
	reconciled := objects.Condition{Type: "Reconciled", Status: metav1.ConditionTrue, Reason: "Acked"}
	changed, version := w.store.Changed(), w.store.Snapshot().Version

	set := w.setStatus(1, reconciled)
	if set.Generation != 1 || set.ResourceVersion == created.ResourceVersion || set.Status.GetObservedGeneration() != 1 {
		t.Errorf("got %v", set)
	}

	if c := set.Status.GetConditions(); len(c) != 1 || c[0].GetType() != "Reconciled" || c[0].GetStatus() != "True" || c[0].GetObservedGeneration() != 1 {
		t.Errorf("conditions are %v", c)
	}

	select {
	case <-changed:
		t.Error("a status woke the translator")
	default:
	}

	if w.store.Snapshot().Version != version {
		t.Error("a status made a version for the translator")
	}

	if again := w.setStatus(1, reconciled); again.ResourceVersion != set.ResourceVersion {
		t.Error("the same status was written twice")
	}

	other := w.setStatus(1, objects.Condition{Type: "PassedValidation", Status: metav1.ConditionFalse, Message: "no"})
	if len(other.Status.GetConditions()) != 2 {
		t.Errorf("conditions are %v", other.Status.GetConditions())
	}

	w.patch("billing", types.MergePatchType, `{"spec":{"hosts":["a"]},"status":{"conditions":[]}}`)

	if now := w.setStatus(2); now.Generation != 2 || len(now.Status.GetConditions()) != 2 || now.Status.GetObservedGeneration() != 2 {
		t.Errorf("after a new generation: %v", now)
	}

	if now := w.setStatus(1, objects.Condition{Type: "Late", Status: metav1.ConditionTrue}); len(now.Status.GetConditions()) != 2 {
		t.Error("a status of an old generation was written")
	}

	if err := w.store.SetStatus(objects.VirtualService, "default", "nobody", 1, reconciled); err != nil {
		t.Errorf("a status of nothing: %v", err)
	}

	if err := w.store.SetStatus("Gateway", "default", "nobody", 1); err == nil {
		t.Error("a status of an unknown kind was taken")
	}
}

func TestStatusSubresource(t *testing.T) {
	w := newWorld(t, objects.Config{})
	w.create(billing)

	got := w.patch("billing", types.MergePatchType,
		`{"metadata":{"labels":{"a":"b"}},"spec":{"hosts":["c"]},"status":{"observedGeneration":1}}`, "status")
	if got.Spec.GetHosts()[0] == "c" || got.Labels["a"] == "b" || got.Status.GetObservedGeneration() != 1 || got.Generation != 1 {
		t.Errorf("got %v", got)
	}

	got.Status.ObservedGeneration = 2

	got = must[*networkingv1.VirtualService](t)(w.services().UpdateStatus(t.Context(), got, metav1.UpdateOptions{}))
	if got.Status.GetObservedGeneration() != 2 {
		t.Errorf("got %v", got)
	}
}
