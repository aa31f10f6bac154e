package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/serinhq/serin/internal/agentspec"
)

// MCPServer is a server of tools. Agents name its tools <name of this object>_<tool> in their spec.tools.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:path=mcpservers,singular=mcpserver,shortName=mcp,categories=serin,scope=Namespaced
// +kubebuilder:printcolumn:name="COMMAND",type=string,JSONPath=`.spec.command[0]`,description="The program that is started"
// +kubebuilder:printcolumn:name="URL",type=string,JSONPath=`.spec.url`,description="Where the server is"
// +kubebuilder:printcolumn:name="AGE",type=date,JSONPath=`.metadata.creationTimestamp`,description="Time since the server was declared"
// +kubebuilder:validation:XValidation:rule="self.metadata.name != 'handoff'",fieldPath=".metadata.name",message="\"handoff\" is taken: its tools would look like handoffs to agents"
type MCPServer struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitzero"`

	// Spec says how to reach the server and how its tools are treated.
	Spec agentspec.MCPServerSpec `json:"spec"`
}

// MCPServerList is a list of servers of tools.
//
// +kubebuilder:object:root=true
type MCPServerList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitzero"`

	Items []MCPServer `json:"items"`
}
