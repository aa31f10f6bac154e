// Package v1alpha1 holds the objects that users write in a cluster: Agent and MCPServer of the group serin.dev. What they
// declare is defined in internal/agentspec, once for files and for clusters; what is defined here is what only a cluster
// has: the status, and pods.
//
// +kubebuilder:object:generate=true
// +groupName=serin.dev
package v1alpha1
