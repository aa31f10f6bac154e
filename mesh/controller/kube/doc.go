// Package kube is what the controller has around it on a cluster: agents are declared by objects of kind Agent, run as
// Deployments, and remembered in the Agents' status.
//
// [Cluster] holds a controller-runtime manager: its cache, its leader election, and the reconciler of what belongs to an
// agent ([workloads]: ServiceAccount, Service, policies, and for each live revision a Deployment and what goes with it). Everything else is what package
// controller asks for, said in Kubernetes' words: [Source] declares, [Store] remembers, workloads run, and the publisher
// tells people, by conditions and events. Who decides is package controller, as on one machine.
//
// The record of a rollout is written to the Agent's status before it is carried out, but for a decision that gives traffic
// back. Each write asks for the record that the writer knows: two controllers can't overwrite each other, whatever the
// lease of the leader says.
package kube

// What the controller may do in its namespace; deploy/rbac is generated from it.
//
// +kubebuilder:rbac:groups=serin.dev,namespace=serin,resources=agents,verbs=get;list;watch;update;patch
// +kubebuilder:rbac:groups=serin.dev,namespace=serin,resources=agents/status,verbs=update
// +kubebuilder:rbac:groups=serin.dev,namespace=serin,resources=agents/finalizers,verbs=update
// +kubebuilder:rbac:groups=serin.dev,namespace=serin,resources=mcpservers,verbs=get;list;watch
// +kubebuilder:rbac:groups=apps,namespace=serin,resources=deployments,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups=autoscaling,namespace=serin,resources=horizontalpodautoscalers,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups=policy,namespace=serin,resources=poddisruptionbudgets,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups="",namespace=serin,resources=services;serviceaccounts,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups="",namespace=serin,resources=configmaps,verbs=get;list;watch;create;update;patch;delete
// +kubebuilder:rbac:groups="",namespace=serin,resources=pods,verbs=get;list;watch;patch
// +kubebuilder:rbac:groups="",namespace=serin,resources=events,verbs=create;patch
// +kubebuilder:rbac:groups=events.k8s.io,namespace=serin,resources=events,verbs=create;patch
// +kubebuilder:rbac:groups=coordination.k8s.io,namespace=serin,resources=leases,verbs=get;create;update;patch
// +kubebuilder:rbac:groups=networking.k8s.io,namespace=serin,resources=networkpolicies,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups=networking.istio.io,namespace=serin,resources=virtualservices;destinationrules,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups=security.istio.io,namespace=serin,resources=authorizationpolicies,verbs=get;list;watch;create;update;patch;delete
