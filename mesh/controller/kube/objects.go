package kube

import (
	"encoding/json"
	"fmt"
	"maps"

	securityapi "istio.io/api/security/v1beta1"
	typeapi "istio.io/api/type/v1beta1"
	security "istio.io/client-go/pkg/apis/security/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"k8s.io/utils/ptr"

	"github.com/serinhq/serin/internal/agentspec"
	"github.com/serinhq/serin/mesh/istio"
)

const grpcPort = 9000

// serviceAccount is who the agent's pods are.
func (c *Config) serviceAccount(agent string) *corev1.ServiceAccount {
	return &corev1.ServiceAccount{
		TypeMeta:                     metav1.TypeMeta{APIVersion: "v1", Kind: "ServiceAccount"},
		ObjectMeta:                   metav1.ObjectMeta{Namespace: c.Namespace, Name: agent, Labels: labelsOf(agent)},
		AutomountServiceAccountToken: new(false), // agents have nothing to ask of the API server
	}
}

// service is the agent's name in the mesh.
func (c *Config) service(agent string) *corev1.Service {
	return &corev1.Service{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Service"},
		ObjectMeta: metav1.ObjectMeta{Namespace: c.Namespace, Name: agent, Labels: labelsOf(agent)},
		Spec: corev1.ServiceSpec{
			Selector: map[string]string{"app": agent},
			Ports: []corev1.ServicePort{
				{Name: "grpc", Port: grpcPort, TargetPort: intstr.FromString("grpc"), AppProtocol: new("grpc"), Protocol: corev1.ProtocolTCP},
			},
		},
	}
}

// access lets the agent's pods use what serves all agents: conversations and tools.
func (c *Config) access(agent string) *security.AuthorizationPolicy {
	from := &securityapi.Source{Principals: []string{istio.Principal(c.TrustDomain, c.Namespace, agent)}}

	return &security.AuthorizationPolicy{
		TypeMeta: metav1.TypeMeta{APIVersion: security.SchemeGroupVersion.String(), Kind: "AuthorizationPolicy"},
		ObjectMeta: metav1.ObjectMeta{
			Namespace: c.Namespace, Name: accessName(agent), Labels: labelsOf(agent), Annotations: istio.WithoutSidecars(),
		},
		Spec: securityapi.AuthorizationPolicy{
			Selector: &typeapi.WorkloadSelector{MatchLabels: map[string]string{ServesLabel: ServesAgents}},
			Action:   securityapi.AuthorizationPolicy_ALLOW,
			Rules:    []*securityapi.Rule{{From: []*securityapi.Rule_From{{Source: from}}}},
		},
	}
}

// deployment runs one revision.
func (c *Config) deployment(agent *wantedAgent, revision *wantedRevision, pods int32) (*appsv1.Deployment, error) {
	run := agent.merged(revision)
	name, labels := run.Metadata.Name, revisionLabels(run.Metadata.Name, revision.name)

	template, err := c.podTemplate(run, revision.name)
	if err != nil {
		return nil, err
	}

	if revision.slot != "" { // subsets of other people's making select pods by it
		template.Labels["version"] = revision.slot
	}

	return &appsv1.Deployment{
		TypeMeta: metav1.TypeMeta{APIVersion: "apps/v1", Kind: "Deployment"},
		ObjectMeta: metav1.ObjectMeta{
			Namespace: c.Namespace, Name: revision.objectName(), Labels: labels,
		},
		Spec: appsv1.DeploymentSpec{
			Replicas:             new(pods),
			Selector:             &metav1.LabelSelector{MatchLabels: podsOf(name, revision.name)},
			Template:             template,
			RevisionHistoryLimit: ptr.To[int32](1), // to go back is another revision's business
			Strategy: appsv1.DeploymentStrategy{
				Type: appsv1.RollingUpdateDeploymentStrategyType,
				RollingUpdate: &appsv1.RollingUpdateDeployment{
					MaxUnavailable: new(intstr.FromInt32(0)), MaxSurge: new(intstr.FromInt32(1)),
				},
			},
		},
	}, nil
}

// podTemplate merges what the agent says of its pods over what they are by themselves. Serin's labels stay.
func (c *Config) podTemplate(agent agentspec.Agent, revision string) (corev1.PodTemplateSpec, error) {
	template, err := c.Pods.Template(agent, revision)
	if err != nil {
		return template, fmt.Errorf("make the pod: %w", err)
	}

	if len(agent.Spec.Pod.Spec) > 0 {
		if template.Spec, err = mergedSpec(template.Spec, agent.Spec.Pod.Spec); err != nil {
			return template, err
		}
	}

	template.Labels = merged(template.Labels, agent.Spec.Pod.Metadata.Labels, revisionLabels(agent.Metadata.Name, revision))
	template.Annotations = merged(template.Annotations, agent.Spec.Pod.Metadata.Annotations)
	template.Spec.ServiceAccountName = agent.Metadata.Name

	return template, nil
}

// mergedSpec applies a strategic merge patch.
func mergedSpec(spec corev1.PodSpec, patch []byte) (corev1.PodSpec, error) {
	original, err := json.Marshal(spec)
	if err != nil {
		return spec, fmt.Errorf("make the pod: %w", err)
	}

	patched, err := strategicpatch.StrategicMergePatch(original, patch, corev1.PodSpec{})
	if err != nil {
		return spec, agentspec.Problems{{Field: "spec.pod.spec", Message: "it can't be merged: " + err.Error()}}
	}

	var after corev1.PodSpec
	if err := json.Unmarshal(patched, &after); err != nil {
		return spec, agentspec.Problems{{Field: "spec.pod.spec", Message: "it can't be merged: " + err.Error()}}
	}

	return after, nil
}

// merged has what comes later win.
func merged(all ...map[string]string) map[string]string {
	sum := map[string]string{}
	for _, one := range all {
		maps.Copy(sum, one)
	}

	return sum
}
