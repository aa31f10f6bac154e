package v1alpha1

import (
	"fmt"
	"maps"
	"strings"

	corev1 "k8s.io/api/core/v1"
	kjson "sigs.k8s.io/json"

	"github.com/serinhq/serin/internal/agentspec"
)

// PodTemplate reads spec.pod as what Kubernetes takes it for. The error is [agentspec.Problems]: fields that Kubernetes
// does not know, values of another type than it wants, and the ambassador where it is not.
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

	var problems agentspec.Problems
	for _, err := range strict {
		problems = append(problems, strictProblem(err))
	}

	for i := range template.Spec.Containers {
		what := map[string]string{Ambassador: "a sidecar", Loader: "an init container"}[template.Spec.Containers[i].Name]
		if what != "" {
			problems = append(problems, agentspec.Problem{
				Field:   fmt.Sprintf("%s.containers[%d].name", podSpec, i),
				Message: fmt.Sprintf("%q is %s: it is changed in initContainers, by the same name", template.Spec.Containers[i].Name, what),
			})
		}
	}

	if err := problems.Err(); err != nil {
		return nil, err
	}

	return template, nil
}

const podSpec = "spec.pod.spec"

// Ambassador is the init container of an agent's pods that stays, as a sidecar: it is there before the agent, which asks
// its models through it, and ends after it.
const Ambassador = "ambassador"

// Loader is the init container of an agent's pods that verifies what the agent's process loads, and ends.
const Loader = "load-config"

// strictProblem splits a message of the decoder, such as `unknown field "containers[0].imag"`.
func strictProblem(err error) agentspec.Problem {
	if what, path, ok := strings.Cut(strings.TrimSuffix(err.Error(), `"`), ` "`); ok {
		return agentspec.Problem{Field: podSpec + "." + path, Message: what + " of a pod in Kubernetes"}
	}

	return agentspec.Problem{Field: podSpec, Message: err.Error()}
}
