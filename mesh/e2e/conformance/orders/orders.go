// Package orders is what the tests of package conformance tell their processes over HTTP, and what those answer.
package orders

import "time"

// Via is how a client reaches a server.
type Via string

// The ways there are.
const (
	// Mesh is through the routes of the control plane.
	Mesh Via = "mesh"
	// TLS is straight to an address, with the client's certificate.
	TLS Via = "tls"
	// Plain is straight to an address, without.
	Plain Via = "plain"
)

// Calls has a client call a service. Calls do not wait for servers.
type Calls struct {
	Via Via `json:"via"`
	// Target is what to dial: xds:///host:port, or an address.
	Target string `json:"target"`
	// Method is a name of the service conform.Echo; empty means Call.
	Method  string            `json:"method"`
	Headers map[string]string `json:"headers"`
	// Count of calls, at most Parallel at once; both default to 1.
	Count    int `json:"count"`
	Parallel int `json:"parallel"`
	// Timeout of each; default 10 s.
	Timeout time.Duration `json:"timeoutNs"`
}

// Answer is what a call came to.
type Answer struct {
	Said

	// Code is gRPC's, such as OK or Unavailable.
	Code    string        `json:"code"`
	Message string        `json:"message"`
	Took    time.Duration `json:"tookNs"`
}

// Said is what a server answers with.
type Said struct {
	// By and Revision are the server's.
	By       string `json:"by"`
	Revision string `json:"revision"`
	// Caller is the service account in the caller's certificate; empty without one.
	Caller string `json:"caller"`
	// Headers are those that came.
	Headers map[string][]string `json:"headers"`
}

// HeaderWait has a server not answer until the caller gives up.
const HeaderWait = "x-wait"
