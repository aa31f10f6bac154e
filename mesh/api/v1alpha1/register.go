package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupVersion is the group and version of the objects here.
var GroupVersion = schema.GroupVersion{Group: "serin.dev", Version: "v1alpha1"}

// AddToScheme makes the objects known to a scheme.
func AddToScheme(scheme *runtime.Scheme) error {
	scheme.AddKnownTypes(GroupVersion, &Agent{}, &AgentList{}, &MCPServer{}, &MCPServerList{})
	metav1.AddToGroupVersion(scheme, GroupVersion)

	return nil
}

// SchemeBuilder is [AddToScheme] in the form in which schemes are put together.
var SchemeBuilder = runtime.NewSchemeBuilder(AddToScheme)
