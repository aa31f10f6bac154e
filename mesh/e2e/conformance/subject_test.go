package conformance_test

import (
	"context"
	"fmt"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/serinhq/serin/mesh/e2e/cluster"
)

const (
	// host is the service that all cases are about.
	host = "echo.conform.svc.cluster.local"
	// namespace is where it is; its clients are there and in another.
	namespace, elsewhere = "conform", "elsewhere"
)

// process is one of the workloads.
type process struct{ name, namespace, account, revision string }

// processes are three servers of two revisions, and three clients.
func processes() []process {
	return []process{
		{"a1", namespace, "echo", "a"},
		{"a2", namespace, "echo", "a"},
		{"b1", namespace, "echo", "b"},
		{"caller", namespace, "caller", ""},
		{"stranger", namespace, "stranger", ""},
		{"outsider", elsewhere, "outsider", ""},
	}
}

// base is what holds in every case that does not say otherwise.
const base = `
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: echo, namespace: conform}
spec:
  host: echo.conform.svc.cluster.local
  trafficPolicy: {tls: {mode: ISTIO_MUTUAL}}
  subsets: [{name: a, labels: {revision: a}}, {name: b, labels: {revision: b}}]
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: strict, namespace: conform}
spec: {mtls: {mode: STRICT}}
`

// subject is a control plane with the workloads behind it.
type subject interface {
	fmt.Stringer
	// objects are the API that its objects are written to.
	objects() client.Client
	// control is where a process takes orders, such as 127.0.0.1:8081; address is where it serves gRPC.
	control(process string) string
	address(process string) string
	// ready has a server be ready, or not.
	ready(ctx context.Context, server string, ready bool) error
}

// put creates objects, or replaces them. An error is a refusal, or an accident.
func put(ctx context.Context, in subject, documents string) error {
	objects, err := cluster.Parse(documents)
	if err != nil {
		return err
	}

	for _, object := range objects {
		if err := putOne(ctx, in.objects(), object); err != nil {
			return fmt.Errorf("%s %s: %w", object.GetKind(), object.GetName(), err)
		}
	}

	return nil
}

func putOne(ctx context.Context, api client.Client, object *unstructured.Unstructured) error {
	known := &unstructured.Unstructured{}
	known.SetGroupVersionKind(object.GroupVersionKind())

	switch err := api.Get(ctx, client.ObjectKeyFromObject(object), known); {
	case apierrors.IsNotFound(err):
		return api.Create(ctx, object)
	case err != nil:
		return err
	}

	object.SetResourceVersion(known.GetResourceVersion())

	return api.Update(ctx, object)
}

// remove deletes objects that may not be there.
func remove(ctx context.Context, in subject, documents string) error {
	objects, err := cluster.Parse(documents)
	if err != nil {
		return err
	}

	for _, object := range objects {
		if err := in.objects().Delete(ctx, object); client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("delete %s %s: %w", object.GetKind(), object.GetName(), err)
		}
	}

	return nil
}

func must(tb testing.TB, err error) {
	tb.Helper()

	if err != nil {
		tb.Fatal(err)
	}
}
