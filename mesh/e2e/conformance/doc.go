// Package conformance has one table of cases which runs against istiod and against mesh/xds alike, with the same bare
// servers and clients of grpc-go behind both, and prints what each did with every case. That is how what works on one
// machine is known to work in a cluster.
package conformance
