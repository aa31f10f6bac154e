// Package cluster starts etcd, kube-apiserver, kube-controller-manager, istiod and a kubelet whose Pods are processes.
//
// A whole cluster lives in a node: namespaces of its own for network, mounts and process ids, which [Main] makes around
// the tests of a package, so that a test sees the cluster's addresses as its own and nothing outlives it.
//
//	func TestMain(m *testing.M) { os.Exit(cluster.Main(m, binaries.Serin())) }
//
//	func TestSomething(t *testing.T) {
//		c := cluster.ForTest(t, cluster.Options{Debounce: 10 * time.Millisecond})
//		if err := c.Apply(t.Context(), manifests); err != nil { ... }
//	}
//
// What a test can do to it: [Cluster.Apply] and the clients, as the administrator or as a ServiceAccount by
// [Cluster.ConfigFor]; faults of the control plane by each [Component]; faults of Pods by [Cluster.Kubelet].
//
// The node is 10.50.0.1, and Pods have addresses of 10.50.0.0/16. istiod is istiod.istio-system.svc:15012 there and in
// Pods, and its validating webhook is on. There are no cluster IPs, no DNS and no sidecar injection.
package cluster
