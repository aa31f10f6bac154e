package cluster_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/serinhq/serin/mesh/e2e/cluster"
)

const deployment = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: default}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 1
      containers: [{name: main, image: host/sleep, args: ["1000"]}]
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: default}
spec: {selector: {app: web}, ports: [{port: 9000, name: grpc, appProtocol: grpc}]}
`

// TestSurvivesFaults walks one cluster, which takes seconds to start, through the loss of each of its parts.
func TestSurvivesFaults(t *testing.T) {
	c := cluster.ForTest(t, cluster.Options{Debounce: 10 * time.Millisecond})
	ctx := t.Context()

	if err := c.Apply(ctx, deployment); err != nil {
		t.Fatal(err)
	}

	endpoints(t, c, 2)

	t.Run("RBAC holds", func(t *testing.T) { restricted(t, c) })
	t.Run("istiod validates", func(t *testing.T) {
		err := c.Apply(ctx, `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: bad, namespace: default}
spec: {hosts: [web]}
`)
		if !apierrors.IsBadRequest(err) {
			t.Errorf("a VirtualService without routes: %v", err)
		}
	})

	for name, component := range map[string]*cluster.Component{
		"the API server": c.APIServer, "etcd": c.Etcd, "istiod": c.Istiod, "the controller manager": c.ControllerManager,
	} {
		t.Run("without "+name, func(t *testing.T) { killAndMend(t, c, component) })
	}
}

func killAndMend(t *testing.T, c *cluster.Cluster, component *cluster.Component) {
	t.Helper()

	before := component.PID()
	component.Kill()

	if component.PID() != 0 {
		t.Fatal("it runs")
	}

	// What happens meanwhile is seen later.
	pod := anyPod(t, c, component == c.APIServer || component == c.Etcd)

	if err := component.Start(t.Context()); err != nil {
		t.Fatal(err)
	}

	if component.PID() == before {
		t.Error("it is the same process")
	}

	if pod != "" {
		if err := c.Kubernetes.CoreV1().Pods("default").Delete(t.Context(), pod, metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
	}

	endpoints(t, c, 2)
}

// anyPod is a Pod to delete; none while nobody can be asked.
func anyPod(t *testing.T, c *cluster.Cluster, deaf bool) string {
	t.Helper()

	if deaf {
		return ""
	}

	pods, err := c.Kubernetes.CoreV1().Pods("default").List(t.Context(), metav1.ListOptions{})
	if err != nil || len(pods.Items) == 0 {
		t.Fatal(pods, err)
	}

	return pods.Items[0].Name
}

// endpoints waits until the Service has so many that are ready.
func endpoints(t *testing.T, c *cluster.Cluster, want int) {
	t.Helper()

	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()

	for {
		ready := 0
		slices, err := c.Kubernetes.DiscoveryV1().EndpointSlices("default").List(ctx, metav1.ListOptions{LabelSelector: "kubernetes.io/service-name=web"})

		for _, slice := range slices.Items {
			for _, endpoint := range slice.Endpoints {
				if endpoint.Conditions.Ready != nil && *endpoint.Conditions.Ready {
					ready++
				}
			}
		}

		if err == nil && ready == want {
			return
		}

		select {
		case <-ctx.Done():
			t.Fatalf("%d endpoints instead of %d, %v", ready, want, err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func restricted(t *testing.T, c *cluster.Cluster) {
	t.Helper()

	config, err := c.ConfigFor(t.Context(), "default", "nobody")
	if err != nil {
		t.Fatal(err)
	}

	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}

	if _, err := client.CoreV1().Secrets("default").List(t.Context(), metav1.ListOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("an account without roles may list Secrets: %v", err)
	}
}

func TestLoopback(t *testing.T) {
	c := cluster.ForTest(t, cluster.Options{Loopback: true, Istiod: true})

	if _, err := c.Kubernetes.CoreV1().ConfigMaps("default").Create(t.Context(),
		&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "one"}}, metav1.CreateOptions{}); err != nil {
		t.Error(err)
	}

	info, err := os.Stat(c.Kubeconfig)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the kubeconfig is %v, %v", info, err)
	}

	if _, err := os.Stat(filepath.Join(c.Logs, "kube-apiserver.log")); err != nil {
		t.Error(err)
	}
}
