package objects_test

import (
	"fmt"
	"net/http/httptest"
	"testing"

	networkingv1 "istio.io/client-go/pkg/apis/networking/v1"
	"istio.io/client-go/pkg/clientset/versioned"
	"istio.io/client-go/pkg/informers/externalversions"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"

	"github.com/serinhq/serin/mesh/xds/objects"
)

// expect reads events and compares them to "TYPE name", in order.
func expect(t *testing.T, w watch.Interface, want ...string) (last watch.Event) {
	t.Helper()

	for _, one := range want {
		select {
		case last = <-w.ResultChan():
		case <-soon(t).Done():
			t.Fatalf("no event came; want %s", one)
		}

		name := ""
		if object, ok := last.Object.(metav1.Object); ok {
			name = object.GetName()
		}

		if got := fmt.Sprintf("%s %s", last.Type, name); got != one {
			t.Fatalf("got %s (%v), want %s", got, last.Object, one)
		}
	}

	return last
}

func (w *world) watch(options metav1.ListOptions) watch.Interface {
	w.t.Helper()

	watch := must[watch.Interface](w.t)(w.services().Watch(w.t.Context(), options))
	w.t.Cleanup(watch.Stop)

	return watch
}

func TestWatch(t *testing.T) {
	w := newWorld(t, objects.Config{Dir: t.TempDir()})
	created := w.create(billing)

	now := w.watch(metav1.ListOptions{})
	after := w.watch(metav1.ListOptions{ResourceVersion: created.ResourceVersion})
	labelled := w.watch(metav1.ListOptions{LabelSelector: "app=billing", ResourceVersion: created.ResourceVersion})

	expect(t, now, "ADDED billing")
	w.patch("billing", types.MergePatchType, `{"metadata":{"labels":{"app":"other"}}}`)
	w.setStatus(1, objects.Condition{Type: "Reconciled", Status: metav1.ConditionTrue})
	w.patch("billing", types.MergePatchType, `{"metadata":{"labels":{"app":"billing"}}}`)

	if err := w.services().Delete(t.Context(), "billing", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}

	for _, all := range []watch.Interface{now, after} {
		last := expect(t, all, "MODIFIED billing", "MODIFIED billing", "MODIFIED billing", "DELETED billing")
		if got := last.Object.(*networkingv1.VirtualService).ResourceVersion; got <= created.ResourceVersion {
			t.Errorf("the deletion has version %s", got)
		}
	}

	expect(t, labelled, "DELETED billing", "ADDED billing", "DELETED billing")
}

func TestWatchOfWhatIsForgotten(t *testing.T) {
	w := newWorld(t, objects.Config{History: 2})
	created := w.create(billing)

	for i := range 5 {
		w.patch("billing", types.MergePatchType, fmt.Sprintf(`{"metadata":{"labels":{"n":"%d"}}}`, i))
	}

	for name, version := range map[string]string{"too old": created.ResourceVersion, "of another store": "99999999999999"} {
		watch, err := w.services().Watch(t.Context(), metav1.ListOptions{ResourceVersion: version})
		if err == nil {
			watch.Stop()
		}

		if !apierrors.IsResourceExpired(err) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestWatchGoesOnAfterRestart(t *testing.T) {
	dir := t.TempDir()
	first := newWorld(t, objects.Config{Dir: dir})
	created := first.create(billing)
	first.patch("billing", types.MergePatchType, `{"metadata":{"labels":{"app":"other"}}}`)

	open := first.watch(metav1.ListOptions{})
	expect(t, open, "ADDED billing")

	if err := first.store.Close(); err != nil {
		t.Fatal(err)
	}

	if _, more := <-open.ResultChan(); more {
		t.Error("a watch outlived its store")
	}

	if _, err := first.services().Patch(t.Context(), "billing", types.MergePatchType, []byte(`{"metadata":{"labels":{"a":"b"}}}`), metav1.PatchOptions{}); !apierrors.IsServiceUnavailable(err) {
		t.Errorf("a write to a closed store: %v", err)
	}

	second := newWorld(t, objects.Config{Dir: dir})
	again := second.watch(metav1.ListOptions{ResourceVersion: created.ResourceVersion, LabelSelector: "app=billing"})
	expect(t, again, "DELETED billing")
}

// TestInformerThroughDisconnects cuts all connections while objects change: the informer must end up with the truth.
func TestInformerThroughDisconnects(t *testing.T) {
	w := newWorld(t, objects.Config{Dir: t.TempDir()})
	door := httptest.NewServer(w.store.Handler()) // the informer's own, for the cuts
	t.Cleanup(door.Close)

	client := must[versioned.Interface](t)(versioned.NewForConfig(&rest.Config{Host: door.URL, QPS: -1}))
	factory := externalversions.NewSharedInformerFactory(client, 0)
	informer := factory.Networking().V1().VirtualServices()
	seen := make(chan string, 1000)

	must[any](t)(informer.Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { seen <- "" },
		UpdateFunc: func(_, now any) { seen <- now.(*networkingv1.VirtualService).Labels["n"] },
	}))
	stop := make(chan struct{})
	factory.Start(stop)
	t.Cleanup(func() { close(stop); factory.Shutdown() })

	w.create(billing)

	const last = 20
	for n := range last + 1 {
		w.patch("billing", types.MergePatchType, fmt.Sprintf(`{"metadata":{"labels":{"n":"%d"}}}`, n))

		if n%5 == 0 {
			door.CloseClientConnections()
		}
	}

	for deadline := soon(t); ; {
		select {
		case n := <-seen:
			if n == fmt.Sprint(last) {
				return
			}
		case <-deadline.Done():
			t.Fatal("the informer never saw the last change")
		}
	}
}

func TestWatchList(t *testing.T) {
	w := newWorld(t, objects.Config{})
	w.create(billing)

	yes := true
	watch := w.watch(metav1.ListOptions{
		SendInitialEvents: &yes, AllowWatchBookmarks: true, ResourceVersionMatch: metav1.ResourceVersionMatchNotOlderThan,
	})

	last := expect(t, watch, "ADDED billing", "BOOKMARK ")
	if last.Object.(metav1.Object).GetAnnotations()[metav1.InitialEventsAnnotationKey] != "true" {
		t.Errorf("got %v", last.Object)
	}
}
