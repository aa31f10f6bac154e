package objects_test

import (
	"context"
	"net/http/httptest"
	"testing"
	"time"

	"go.uber.org/goleak"
	networkingv1 "istio.io/client-go/pkg/apis/networking/v1"
	"istio.io/client-go/pkg/clientset/versioned"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"

	"github.com/serinhq/serin/mesh/xds/objects"
)

func TestMain(m *testing.M) {
	writeUntilKilled() // never returns in the process that is to be killed
	goleak.VerifyTestMain(m)
}

// billing is a VirtualService with a route of somebody else's, and a weight of 0 that somebody wrote.
const billing = `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: billing
  labels: {app: billing}
  annotations: {serin.dev/intent: old}
spec:
  hosts: [billing.default.svc.cluster.local]
  http:
  - name: foreign
    match: [{uri: {prefix: /other}}]
    timeout: 1.5s
    route: [{destination: {host: other}}]
  - name: split
    retries: {attempts: 0}
    route:
    - destination: {host: billing.default.svc.cluster.local, subset: r-a}
      weight: 100
    - destination: {host: billing.default.svc.cluster.local, subset: r-b}
      weight: 0
`

// world is a store that is served over HTTP.
type world struct {
	t      testing.TB
	store  *objects.Store
	server *httptest.Server
}

func newWorld(t testing.TB, config objects.Config) *world {
	t.Helper()

	store, err := objects.Open(config)
	if err != nil {
		t.Fatal(err)
	}

	w := &world{t: t, store: store, server: httptest.NewServer(store.Handler())}

	t.Cleanup(func() {
		if err := store.Close(); err != nil { // ends the watches, which the server waits for
			t.Error(err)
		}

		w.server.Close()
	})

	return w
}

func (w *world) rest() *rest.Config { return &rest.Config{Host: w.server.URL, QPS: -1} }

func (w *world) client() versioned.Interface {
	w.t.Helper()

	client, err := versioned.NewForConfig(w.rest())
	if err != nil {
		w.t.Fatal(err)
	}

	return client
}

// services are the VirtualServices of the namespace default.
func (w *world) services() virtualServices {
	return w.client().NetworkingV1().VirtualServices("default")
}

func (w *world) create(text string) *networkingv1.VirtualService {
	w.t.Helper()

	created, err := w.services().Create(w.t.Context(), parse(w.t, text), metav1.CreateOptions{})
	if err != nil {
		w.t.Fatal(err)
	}

	return created
}

// raw writes the text as it is, which a typed client would tidy up.
func (w *world) raw(text string) {
	w.t.Helper()

	err := w.client().NetworkingV1().RESTClient().Post().Namespace("default").Resource("virtualservices").
		SetHeader("Content-Type", "application/yaml").Body([]byte(text)).Do(w.t.Context()).Error()
	if err != nil {
		w.t.Fatal(err)
	}
}

func parse(t testing.TB, text string) *networkingv1.VirtualService {
	t.Helper()

	var vs networkingv1.VirtualService
	if err := yaml.Unmarshal([]byte(text), &vs); err != nil {
		t.Fatal(err)
	}

	return &vs
}

// soon is a context that ends before the test hangs.
func soon(t testing.TB) context.Context {
	t.Helper()

	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)

	return ctx
}

func must[T any](t testing.TB) func(T, error) T {
	t.Helper()

	return func(value T, err error) T {
		t.Helper()

		if err != nil {
			t.Fatal(err)
		}

		return value
	}
}
