package v1alpha1

import (
	"maps"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/serinhq/serin/internal/agentspec"
)

// FromObject returns what a cluster's Agent declares, with its name, namespace and labels. It is neither validated nor
// defaulted, and shares nothing with the object. Annotations are left out: in a cluster they are for tools.
func FromObject(object *Agent) agentspec.Agent {
	return agentspec.Agent{
		APIVersion: agentspec.APIVersion, Kind: agentspec.KindAgent,
		Metadata: fromMeta(&object.ObjectMeta), Spec: *object.Spec.DeepCopy(),
	}
}

// FromServerObject is [FromObject] of a tool server.
func FromServerObject(object *MCPServer) agentspec.MCPServer {
	return agentspec.MCPServer{
		APIVersion: agentspec.APIVersion, Kind: agentspec.KindMCPServer,
		Metadata: fromMeta(&object.ObjectMeta), Spec: *object.Spec.DeepCopy(),
	}
}

// ToObject returns the object that `kubectl apply` takes. It shares nothing with the declaration.
func ToObject(agent *agentspec.Agent) *Agent {
	return &Agent{TypeMeta: typeMeta(agentspec.KindAgent), ObjectMeta: toMeta(&agent.Metadata), Spec: *agent.Spec.DeepCopy()}
}

// ToServerObject is [ToObject] of a tool server.
func ToServerObject(server *agentspec.MCPServer) *MCPServer {
	return &MCPServer{
		TypeMeta: typeMeta(agentspec.KindMCPServer), ObjectMeta: toMeta(&server.Metadata), Spec: *server.Spec.DeepCopy(),
	}
}

func typeMeta(kind string) metav1.TypeMeta {
	return metav1.TypeMeta{APIVersion: GroupVersion.String(), Kind: kind}
}

func fromMeta(meta *metav1.ObjectMeta) agentspec.Metadata {
	return agentspec.Metadata{Name: meta.Name, Namespace: meta.Namespace, Labels: maps.Clone(meta.Labels)}
}

func toMeta(meta *agentspec.Metadata) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Name: meta.Name, Namespace: meta.Namespace,
		Labels: maps.Clone(meta.Labels), Annotations: maps.Clone(meta.Annotations),
	}
}
