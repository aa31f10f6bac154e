package xds

import (
	"context"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const retriesOf = `
---
kind: VirtualService
metadata: {name: billing}
spec:
  hosts: [billing]
  http: [{retries: %, route: [{destination: {host: billing}}]}]
`

// A call that fails is tried as often as its route says, also where the server has run it: what is not to run twice
// needs a route with attempts: 0.
func TestRetries(t *testing.T) {
	m := startMesh(t)
	a := m.one()
	connection := m.client("gateway")

	for _, test := range []struct {
		name, retries string
		failing       int64
		header        bool
		calls         int64
		want          codes.Code
	}{
		{"without a VirtualService, enough", "", 2, false, 3, codes.OK},
		{"without a VirtualService, not enough", "", 9, false, 3, codes.Unavailable},
		{"enough", "{attempts: 2, retryOn: unavailable}", 2, false, 3, codes.OK},
		{"not enough", "{attempts: 2, retryOn: unavailable}", 3, false, 3, codes.Unavailable},
		{"more", "{attempts: 4, retryOn: unavailable, backoff: 0.002s}", 4, false, 5, codes.OK},
		{"another code", "{attempts: 2, retryOn: cancelled}", 1, false, 1, codes.Unavailable},
		{"none", "{attempts: 0}", 1, false, 1, codes.Unavailable},
		{"none, as typed clients write it", "{}", 1, false, 1, codes.Unavailable},
		{"an answer has begun", "{attempts: 2, retryOn: unavailable}", 1, true, 1, codes.Unavailable},
	} {
		if test.retries != "" {
			m.apply(strings.Replace(retriesOf, "%", test.retries, 1))
		}

		// The client has the routes, and takes them into use.
		eventually(t, test.name, func() bool {
			a.calls.Store(0)
			a.failing.Store(test.failing)

			headers := []string{}
			if test.header {
				headers = []string{"x-header", "1"}
			}

			_, _, err := call(t.Context(), connection, headers...)

			return status.Code(err) == test.want && a.calls.Load() == test.calls
		})
	}
}

// More calls at a time than a rule allows fail at once.
func TestMaxRequests(t *testing.T) {
	m := startMesh(t)
	a := m.one()
	m.apply("\n---\nkind: DestinationRule\nmetadata: {name: billing}\nspec: {host: billing, trafficPolicy: {connectionPool: {http: {http2MaxRequests: 1}}}}\n")

	connection := m.client("gateway")
	ctx, cancel := context.WithCancel(t.Context())
	waited := make(chan error, 1)

	go func() {
		var answer wrapperspb.StringValue
		waited <- connection.Invoke(metadata.AppendToOutgoingContext(ctx, "x-wait", "1"), echoMethod, wrapperspb.String(""), &answer)
	}()

	eventually(t, "the first call is there", func() bool { return a.calls.Load() == 1 })

	if _, _, err := call(t.Context(), connection); status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "max requests 1 exceeded") {
		t.Errorf("the second call: %v", err)
	}

	cancel()

	if err := <-waited; status.Code(err) != codes.Canceled {
		t.Errorf("the first call: %v", err)
	}

	m.count(connection, 20)
}

// Routes that cannot be translated, and never could, lead nowhere; calls say so.
func TestInvalidRoutesAreNotCalled(t *testing.T) {
	p := startPlane(t, "", nil)
	connection := p.plainClient(t)

	p.store.set(t, strings.Replace(billing("a=100", "a"), "retries: {attempts: 0}\n    route", "mirror: {host: x}\n    route", 1))
	eventually(t, "calls lead nowhere", func() bool {
		var answer wrapperspb.StringValue

		err := connection.Invoke(t.Context(), echoMethod, wrapperspb.String(""), &answer)

		return status.Code(err) == codes.Unavailable && strings.Contains(err.Error(), "no matched route was found")
	})

	message := p.reconciled(t, "VirtualService billing 1", metav1.ConditionFalse)
	if !strings.Contains(message, "calls to billing fail until it is mended") {
		t.Errorf("message %q", message)
	}
}
