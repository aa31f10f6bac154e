// Package e2e shows Serin on a real Kubernetes API server with a real Istio, without Docker. It is a module of its own,
// so that nobody else needs what it is built from.
//
//	binaries  builds etcd, kube-apiserver, kube-controller-manager, istiod and istioctl from the modules in go.mod.
//	cluster   starts them in a network namespace of their own, and hands out clients and faults.
//	kubelet   plays the node: it runs Pods as processes, each with its own network, mounts and process ids.
//	cmd       serin-cluster is a cluster for people.
package e2e
