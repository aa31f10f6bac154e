package kube

import (
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// disruptions keep half of a revision's pods while nodes are drained; nil for a revision with one pod. Half of one is one
// pod, rounded up as Kubernetes does: no node that has it could ever be drained. It may go instead, for its turns are
// finished or resumed elsewhere.
func (c *Config) disruptions(agent string, revision *wantedRevision, pods int32) *policyv1.PodDisruptionBudget {
	if pods < 2 {
		return nil
	}

	return &policyv1.PodDisruptionBudget{
		TypeMeta: metav1.TypeMeta{APIVersion: policyv1.SchemeGroupVersion.String(), Kind: "PodDisruptionBudget"},
		ObjectMeta: metav1.ObjectMeta{
			Namespace: c.Namespace, Name: revision.objectName(), Labels: revisionLabels(agent, revision.name),
		},
		Spec: policyv1.PodDisruptionBudgetSpec{
			MinAvailable: new(intstr.FromString("50%")),
			Selector:     &metav1.LabelSelector{MatchLabels: podsOf(agent, revision.name)},
			// Pods that crash serve nobody, and must not keep a node from being drained.
			UnhealthyPodEvictionPolicy: new(policyv1.AlwaysAllow),
		},
	}
}
