// Package xds is the control plane of one machine: it translates the Istio objects of mesh/xds/objects into xDS
// resources and serves them to grpc-go's clients and servers, as istiod does in a cluster.
//
//	objects -> Validate (grammars.go, check_*.go)  what proxyless gRPC would ignore or refuse is refused by name
//	        -> translator (choose.go, gaps.go)     the last good object where one has a problem; only what changed
//	           keeper (keep.go)                    which those are, on disk for the next start
//	        -> Resources (listener.go, routes.go,  LDS, RDS, CDS, EDS, each marshalled once
//	             cluster.go, endpoints.go, inbound.go)
//	        -> stream (stream.go, channel.go)      state-of-the-world ADS
//	        -> reconciler (status.go)              status Reconciled once everyone concerned has ACKed, and those
//	                                               are back who were there before a restart (returning.go)
//
// go-control-plane brings the types; its SotW server is not used: it answers each type by itself and so cannot keep the
// order in which a change must arrive (clusters, endpoints, listeners, routes), and it does not know which resource of
// which stream was ACKed, which is what Reconciled says.
//
// Names are istiod's: a client asks for the listener `<host>:<port>` and the routes `outbound|<port>||<host>`, a server
// for the listener `xds.istio.io/grpc/lds/inbound/<ip:port>`, and clusters are `outbound|<port>|<subset>|<host>`.
package xds
