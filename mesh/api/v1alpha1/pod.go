package v1alpha1

import (
	"maps"
	"strings"

	corev1 "k8s.io/api/core/v1"
	kjson "sigs.k8s.io/json"

	"github.com/serinhq/serin/internal/agentspec"
)

// PodTemplate reads spec.pod as what Kubernetes takes it for. The error is [agentspec.Problems]: fields that Kubernetes
// does not know, and values of another type than it wants.
func PodTemplate(pod *agentspec.Pod) (*corev1.PodTemplateSpec, error) {
	template := &corev1.PodTemplateSpec{}
	template.Labels, template.Annotations = maps.Clone(pod.Metadata.Labels), maps.Clone(pod.Metadata.Annotations)

	if len(pod.Spec) == 0 {
		return template, nil
	}

	strict, err := kjson.UnmarshalStrict(pod.Spec, &template.Spec)
	if err != nil {
		return nil, agentspec.Problems{{Field: podSpec, Message: strings.TrimPrefix(err.Error(), "json: ")}}
	}

	problems := make(agentspec.Problems, len(strict))
	for i, err := range strict {
		problems[i] = strictProblem(err)
	}

	if err := problems.Err(); err != nil {
		return nil, err
	}

	return template, nil
}

const podSpec = "spec.pod.spec"

// strictProblem splits a message of the decoder, such as `unknown field "containers[0].imag"`.
func strictProblem(err error) agentspec.Problem {
	if what, path, ok := strings.Cut(strings.TrimSuffix(err.Error(), `"`), ` "`); ok {
		return agentspec.Problem{Field: podSpec + "." + path, Message: what + " of a pod in Kubernetes"}
	}

	return agentspec.Problem{Field: podSpec, Message: err.Error()}
}
