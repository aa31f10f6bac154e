package kube

import (
	"net/url"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/serinhq/serin/internal/rpc"
)

// Network is what network policies let agents' pods do beside handing off to each other.
type Network struct {
	// Pages are the ports with health and metrics.
	Pages []int32
	// ControlPlane are the ports of the mesh's control plane, in a namespace; anywhere, if that is empty.
	ControlPlane          []int32
	ControlPlaneNamespace string
	// Outside are the ports that may be reached anywhere: those of models, and of whatever else is outside of the cluster.
	Outside []int32
}

// isolation lets an agent's pods reach, and be reached by, who they have to do with: those who may hand off to it by any of
// its revisions, as the mesh's policies have it. The mesh knows workloads by their certificates; this holds also for what
// speaks no mTLS.
//
// It is the cluster's network that enforces it, if it does: the one that Serin is tested on does not. What others allow the
// same pods by policies of their own is allowed beside it.
func (c *Config) isolation(name string, agent *wantedAgent) *networkingv1.NetworkPolicy {
	return &networkingv1.NetworkPolicy{
		TypeMeta:   metav1.TypeMeta{APIVersion: networkingv1.SchemeGroupVersion.String(), Kind: "NetworkPolicy"},
		ObjectMeta: metav1.ObjectMeta{Namespace: c.Namespace, Name: accessName(name), Labels: labelsOf(name)},
		Spec: networkingv1.NetworkPolicySpec{
			PodSelector: metav1.LabelSelector{MatchLabels: map[string]string{"app": name}},
			PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress},
			Ingress:     c.Network.ingress(agent.callers),
			Egress:      c.Network.egress(agent),
		},
	}
}

// ingress lets in who may hand off, and who looks at pages: Prometheus, in whatever namespace. The kubelet needs no rule:
// what a pod's own node sends is never held back.
func (n *Network) ingress(callers []string) []networkingv1.NetworkPolicyIngressRule {
	return []networkingv1.NetworkPolicyIngressRule{
		{From: apps(append([]string{rpc.Gateway}, callers...)), Ports: ports(corev1.ProtocolTCP, grpcPort)},
		{From: []networkingv1.NetworkPolicyPeer{{NamespaceSelector: &metav1.LabelSelector{}}}, Ports: ports(corev1.ProtocolTCP, n.Pages...)},
	}
}

func (n *Network) egress(agent *wantedAgent) []networkingv1.NetworkPolicyEgressRule {
	serves := networkingv1.NetworkPolicyPeer{
		PodSelector: &metav1.LabelSelector{MatchLabels: map[string]string{ServesLabel: ServesAgents}},
	}

	controlPlane := []networkingv1.NetworkPolicyPeer{}
	if n.ControlPlaneNamespace != "" {
		controlPlane = append(controlPlane, networkingv1.NetworkPolicyPeer{NamespaceSelector: &metav1.LabelSelector{
			MatchLabels: map[string]string{corev1.LabelMetadataName: n.ControlPlaneNamespace},
		}})
	}

	return []networkingv1.NetworkPolicyEgressRule{
		{To: append(apps(agent.callees), serves), Ports: ports(corev1.ProtocolTCP, grpcPort)},
		{To: controlPlane, Ports: ports(corev1.ProtocolTCP, n.ControlPlane...)},
		// Names are resolved by pods, by nodes or by what stands before the cluster: that differs too much to be said.
		{Ports: append(ports(corev1.ProtocolUDP, 53), ports(corev1.ProtocolTCP, 53)...)},
		// The ambassador's models and the retriever's documents. A policy knows no names of hosts.
		{Ports: ports(corev1.ProtocolTCP, distinct(append(agent.documentPorts(), n.Outside...))...)},
	}
}

// apps select the pods of apps of the same namespace.
func apps(names []string) []networkingv1.NetworkPolicyPeer {
	peers := make([]networkingv1.NetworkPolicyPeer, 0, len(names)+1)
	for _, name := range names {
		peers = append(peers, networkingv1.NetworkPolicyPeer{
			PodSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": name}},
		})
	}

	return peers
}

func ports(protocol corev1.Protocol, numbers ...int32) []networkingv1.NetworkPolicyPort {
	all := make([]networkingv1.NetworkPolicyPort, 0, len(numbers))
	for _, number := range numbers {
		all = append(all, networkingv1.NetworkPolicyPort{Protocol: new(protocol), Port: new(intstr.FromInt32(number))})
	}

	return all
}

// documentPorts are where the agent's revisions have documents by URL.
func (a *wantedAgent) documentPorts() []int32 {
	all := []int32{}

	for i := range a.revisions {
		retriever := a.revisions[i].agent.Spec.Retriever
		if retriever == nil {
			continue
		}

		for _, place := range retriever.Documents {
			if port, ok := PortOf(place.URL); ok {
				all = append(all, port)
			}
		}
	}

	return all
}

// PortOf is the port that an http or https URL leads to.
func PortOf(text string) (int32, bool) {
	parsed, err := url.Parse(text)
	if err != nil || parsed.Host == "" {
		return 0, false
	}

	if parsed.Port() != "" {
		port, err := strconv.ParseUint(parsed.Port(), 10, 16)

		return int32(port), err == nil && port > 0
	}

	switch parsed.Scheme {
	case "http":
		return 80, true
	case "https":
		return 443, true
	default:
		return 0, false
	}
}

// distinct are the values, sorted, each once.
func distinct[T int32 | string](values []T) []T {
	return slices.Compact(slices.Sorted(slices.Values(values)))
}
