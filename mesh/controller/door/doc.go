// Package door is where people's command lines reach a controller in a cluster: RolloutService behind TLS, with the
// cluster's own users and rights.
//
//	announce.go      a ConfigMap says which pod leads, where its door is, and which certificate it shows
//	authenticate.go  a bearer token is asked about (TokenReview), a certificate is verified against the cluster's
//	                 authorities for clients (authorities.go); nobody else gets in
//	authorize.go     each method is a verb on agents.serin.dev, and the cluster is asked (SubjectAccessReview) whether the
//	                 user may: once for each call, so that a right that is taken away is gone with the next call
//	door.go          serves; what comes in acts under the user's name, which the rollout's history keeps
//
// The door listens on the pod's loopback address: the way to it is the API server's port-forward, which needs a right of
// its own. The certificate is made anew by each process and never leaves its memory; the ConfigMap holds its public part,
// and whoever may write that ConfigMap may have people's tokens sent to another pod: only the controller should.
//
// It needs these rights: create on tokenreviews.authentication.k8s.io and subjectaccessreviews.authorization.k8s.io (what
// the ClusterRole system:auth-delegator gives); get on the ConfigMap extension-apiserver-authentication of kube-system (the
// Role extension-apiserver-authentication-reader there); create on configmaps of its own namespace, get and update on the
// one named serin-controller.
package door
