// Package lint says which fields of Istio's objects proxyless gRPC does not do: the ones that its clients leave out, the
// ones that make a client or a server refuse everything around them, and policies that are open though they look shut.
//
//	object -> walk (walk.go)      every field that is set, by its path
//	       -> table               one for each kind: works, ignored, refused or risky, with what to do instead
//	          (virtualservice.go, destinationrule.go, authorization.go, kinds.go)
//
// Each table names every field of its kind, which a test checks: a field that a later version of Istio brings has to be
// judged before it is written. What the tables say was measured against istiod and grpc-go, or read in istiod's package
// pilot/pkg/networking/grpcgen and in grpc-go's internal/xds.
package lint
