package controller_test

import (
	"context"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	networkingv1 "istio.io/client-go/pkg/apis/networking/v1"
	versioned "istio.io/client-go/pkg/clientset/versioned"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	rolloutv1 "github.com/serinhq/serin/gen/serin/rollout/v1"
	"github.com/serinhq/serin/mesh/controller"
	"github.com/serinhq/serin/mesh/istio"
	"github.com/serinhq/serin/mesh/xds/objects"
)

// objectsRouter is the real Router over the real objects; every object is propagated a moment after it was written.
func objectsRouter(t *testing.T) (*istio.Router, *objects.Store) {
	t.Helper()

	store, err := objects.Open(objects.Config{})
	if err != nil {
		t.Fatal(err)
	}

	server := httptest.NewServer(store.Handler())

	client, err := versioned.NewForConfig(&rest.Config{Host: server.URL, QPS: -1})
	if err != nil {
		t.Fatal(err)
	}

	router, err := istio.New(istio.Config{Client: client, Propagation: istio.Reconciled{}})
	if err != nil {
		t.Fatal(err)
	}

	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))

	var reconciling sync.WaitGroup

	reconciling.Go(func() { reconcile(ctx, t, store) })
	t.Cleanup(func() {
		cancel()
		reconciling.Wait()
		server.CloseClientConnections()
		server.Close()

		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})

	return router, store
}

// reconcile plays the control plane.
func reconcile(ctx context.Context, t *testing.T, store *objects.Store) {
	t.Helper()

	for ctx.Err() == nil {
		all := store.Snapshot()
		done := objects.Condition{Type: "Reconciled", Status: metav1.ConditionTrue}

		for _, object := range all.VirtualServices {
			if err := store.SetStatus("VirtualService", object.Namespace, object.Name, object.Generation, done); err != nil {
				t.Error(err)
			}
		}

		for _, object := range all.DestinationRules {
			if err := store.SetStatus("DestinationRule", object.Namespace, object.Name, object.Generation, done); err != nil {
				t.Error(err)
			}
		}

		select {
		case <-ctx.Done():
		case <-time.After(2 * time.Millisecond):
		}
	}
}

// weights are those of the split route, by subset.
func weights(services []*networkingv1.VirtualService) map[string]int32 {
	found := map[string]int32{}

	for _, service := range services {
		for _, route := range service.Spec.GetHttp() {
			if route.GetName() != "split" {
				continue
			}

			for _, to := range route.GetRoute() {
				found[to.GetDestination().GetSubset()] = to.GetWeight()
			}
		}
	}

	return found
}

func TestRolloutThroughRealObjects(t *testing.T) {
	w := newWorld(t)
	router, store := objectsRouter(t)
	w.configure = func(config *controller.Config) { config.Router = router }

	a, b := w.rollOut()
	w.eventually("the split is 95/5", func() bool {
		got := weights(store.Snapshot().VirtualServices)

		return got["r-"+a] == 95 && got["r-"+b] == 5
	})

	started := time.Now()

	answer, err := w.abort("billing")
	if err != nil {
		t.Fatal(err)
	}

	t.Logf("aborted after %s", time.Since(started))

	if got := weights(store.Snapshot().VirtualServices); got["r-"+b] != 0 || got["r-"+a] != 100 && len(got) > 0 {
		t.Errorf("after the abort was answered (%v) the split is %v", answer, got)
	}

	w.waitPhase("billing", rolloutv1.Phase_PHASE_FAILED)

	if _, err := w.service.RetryRollout(w.operator(), &rolloutv1.RetryRolloutRequest{Agent: "billing"}); err != nil {
		t.Fatal(err)
	}

	w.waitPhase("billing", rolloutv1.Phase_PHASE_PROGRESSING)

	if _, err := w.service.PromoteRollout(w.operator(), &rolloutv1.PromoteRolloutRequest{Agent: "billing", Full: true}); err != nil {
		t.Fatal(err)
	}

	w.waitPhase("billing", rolloutv1.Phase_PHASE_SUCCEEDED)
	w.stop()
	w.start()
	w.waitReady()

	if _, err := w.service.UndoRollout(w.operator(), &rolloutv1.UndoRolloutRequest{Agent: "billing"}); err != nil {
		t.Fatal(err)
	}

	w.waitPhase("billing", rolloutv1.Phase_PHASE_FAILED)
	w.later(time.Minute)
	w.eventually("the undone revision is gone", func() bool {
		rules := store.Snapshot().DestinationRules

		return len(rules) == 1 && len(rules[0].Spec.GetSubsets()) == 1 && rules[0].Spec.GetSubsets()[0].GetName() == "r-"+a &&
			slices.Equal(w.machine.running(), []string{"billing-" + a})
	})

	if got := w.rollout("billing").GetProblems(); len(got) > 0 {
		t.Errorf("problems: %v", got)
	}
}
