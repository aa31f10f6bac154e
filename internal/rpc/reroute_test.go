package rpc_test

import (
	"context"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"

	handoffv1 "github.com/serinhq/serin/gen/serin/handoff/v1"
	"github.com/serinhq/serin/internal/fault"
	"github.com/serinhq/serin/internal/rpc"
	"github.com/serinhq/serin/internal/rpc/rpctest"
)

// agent refuses as it is told, and notes which revisions it was asked for.
type agent struct {
	handoffv1.UnimplementedHandoffServiceServer

	name string

	mu    sync.Mutex
	asked []string
	// refuse answers the n-th call, from 0; nil lets it through.
	refuse func(n int, revision string) error
	// late refuses after the first report.
	late error
}

func (a *agent) enter(ctx context.Context) error {
	revision := strings.Join(metadata.ValueFromIncomingContext(ctx, "serin-revision"), ",")
	tenant := strings.Join(metadata.ValueFromIncomingContext(ctx, "serin-tenant"), ",")

	a.mu.Lock()
	defer a.mu.Unlock()

	n := len(a.asked)
	a.asked = append(a.asked, strings.TrimSpace(revision+" "+tenant))

	if a.refuse == nil {
		return nil
	}

	return a.refuse(n, revision)
}

func (a *agent) calls() []string {
	a.mu.Lock()
	defer a.mu.Unlock()

	return slices.Clone(a.asked)
}

func (a *agent) Handoff(
	request *handoffv1.HandoffRequest, stream grpc.ServerStreamingServer[handoffv1.HandoffResponse],
) error {
	attempt := strconv.Itoa(len(a.calls()) + 1)
	if err := stream.SetHeader(metadata.Pairs(rpc.HeaderRevision, a.name, "attempt", attempt)); err != nil {
		return err
	}

	if err := a.enter(stream.Context()); err != nil {
		return err
	}

	accepted := &handoffv1.Accepted{Agent: request.GetToAgent(), Revision: a.name}
	if err := stream.Send(&handoffv1.HandoffResponse{
		Report: &handoffv1.HandoffResponse_Accepted{Accepted: accepted},
	}); err != nil {
		return err
	}

	if a.late != nil {
		return a.late
	}

	return stream.Send(&handoffv1.HandoffResponse{Report: &handoffv1.HandoffResponse_Finished{Finished: &handoffv1.Finished{}}})
}

func (a *agent) Describe(ctx context.Context, _ *handoffv1.DescribeRequest) (*handoffv1.DescribeResponse, error) {
	if err := a.enter(ctx); err != nil {
		return nil, err
	}

	return &handoffv1.DescribeResponse{Agent: a.name}, nil
}

func (a *agent) register(registrar grpc.ServiceRegistrar) {
	handoffv1.RegisterHandoffServiceServer(registrar, a)
}

func agentPolicy() rpc.Policy {
	return rpc.Policy{
		handoffv1.HandoffService_Handoff_FullMethodName:  rpc.AnyWorkload,
		handoffv1.HandoffService_Describe_FullMethodName: rpc.AnyWorkload,
	}
}

// handOff makes the call whole and returns who took it.
func handOff(ctx context.Context, connection *grpc.ClientConn) (string, error) {
	stream, err := handoffv1.NewHandoffServiceClient(connection).Handoff(ctx, &handoffv1.HandoffRequest{
		ConversationId: "c", TurnId: "t", ToAgent: "billing",
	})
	if err != nil {
		return "", err
	}

	by := ""

	for {
		report, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return by, nil
		}

		if err != nil {
			return by, err
		}

		by += report.GetAccepted().GetRevision()
	}
}

func describe(ctx context.Context, connection *grpc.ClientConn, options ...grpc.CallOption) (string, error) {
	description, err := handoffv1.NewHandoffServiceClient(connection).Describe(ctx, &handoffv1.DescribeRequest{}, options...)

	return description.GetAgent(), err
}

// kinds are the ways to call.
func kinds() map[string]func(context.Context, *grpc.ClientConn) (string, error) {
	return map[string]func(context.Context, *grpc.ClientConn) (string, error){
		"stream": handOff,
		"unary": func(ctx context.Context, connection *grpc.ClientConn) (string, error) {
			return describe(ctx, connection)
		},
	}
}

func draining() error { return fault.New(codes.Unavailable, "DRAINING", "not now") }

func wrong(pinned string) error {
	return fault.New(codes.FailedPrecondition, "WRONG_REVISION", "keeps another").With("pinned_revision", pinned)
}

func withdrawn(replacement string) error {
	return fault.New(codes.FailedPrecondition, "REVISION_WITHDRAWN", "withdrawn").With("replacement", replacement)
}

// until refuses so many calls.
func until(times int, refusal error) func(int, string) error {
	return func(n int, _ string) error {
		if n < times {
			return refusal
		}

		return nil
	}
}

func TestRefusedCallsAreSentAgain(t *testing.T) {
	for name, test := range map[string]struct {
		route  *rpc.Route
		refuse func(int, string) error
		want   []string
		reason string
	}{
		"not refused":      {&rpc.Route{Revision: "a", Tenant: "acme"}, nil, []string{"a acme"}, ""},
		"no route, no pin": {nil, until(1, wrong("a")), []string{""}, "WRONG_REVISION"},
		"pinned":           {&rpc.Route{}, until(1, wrong("a")), []string{"", "a"}, ""},
		"moved":            {&rpc.Route{Revision: "b"}, until(1, withdrawn("a")), []string{"b", "a"}, ""},
		"moved, then pinned": {&rpc.Route{Revision: "b", Tenant: "acme"}, func(n int, _ string) error {
			return []error{withdrawn("a"), wrong("c"), nil}[n]
		}, []string{"b acme", "a acme", "c acme"}, ""},
		"its route is late": {&rpc.Route{Revision: "a"}, until(3, wrong("a")), []string{"a", "a", "a", "a"}, ""},
		"its route never comes": {
			&rpc.Route{Revision: "a"}, until(99, wrong("a")), []string{"a", "a", "a", "a", "a"}, "WRONG_REVISION",
		},
		"names nothing":   {&rpc.Route{}, until(1, wrong("")), []string{""}, "WRONG_REVISION"},
		"another refusal": {&rpc.Route{}, until(1, fault.New(codes.FailedPrecondition, "LEASE_HELD", "")), []string{""}, "LEASE_HELD"},
	} {
		t.Run(name, func(t *testing.T) {
			for kind, call := range kinds() {
				service := &agent{name: "billing", refuse: test.refuse}
				connection := rpctest.Serve(t, "billing", agentPolicy(), service.register)(t, rpc.Gateway)
				ctx := t.Context()

				if test.route != nil {
					ctx = rpc.WithRoute(ctx, *test.route)
				}

				by, err := call(ctx, connection)
				if test.reason == "" && (err != nil || by != "billing") || test.reason != "" && !fault.Is(err, test.reason) {
					t.Errorf("%s: %q, %v, want reason %q", kind, by, err, test.reason)
				}

				if diff := cmp.Diff(test.want, service.calls()); diff != "" {
					t.Errorf("%s: %s", kind, diff)
				}
			}
		})
	}
}

func TestAnAnswerIsNeverAskedForTwice(t *testing.T) {
	service := &agent{name: "billing", late: wrong("a")}
	connection := rpctest.Serve(t, "billing", agentPolicy(), service.register)(t, rpc.Gateway)

	by, err := handOff(rpc.WithRoute(t.Context(), rpc.Route{}), connection)
	if by != "billing" || !fault.Is(err, "WRONG_REVISION") || len(service.calls()) != 1 {
		t.Errorf("%q, %v, asked %v", by, err, service.calls())
	}
}

func TestTheRouteReplacesHeaders(t *testing.T) {
	service := &agent{name: "billing"}
	connection := rpctest.Serve(t, "billing", agentPolicy(), service.register)(t, rpc.Gateway)

	ctx := metadata.AppendToOutgoingContext(t.Context(), "serin-revision", "x", "serin-tenant", "y", "other", "z")
	for _, route := range []rpc.Route{{Revision: "a"}, {Tenant: "acme"}, {}} {
		if _, err := handOff(rpc.WithRoute(ctx, route), connection); err != nil {
			t.Fatal(err)
		}
	}

	if diff := cmp.Diff([]string{"a", "acme", ""}, service.calls()); diff != "" {
		t.Error(diff)
	}

	if headers, _ := metadata.FromOutgoingContext(ctx); len(headers.Get("serin-revision")) != 1 {
		t.Errorf("the caller's own headers changed: %v", headers)
	}
}

func TestAReroutedCallEndsWithItsCaller(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()

	service := &agent{name: "billing", refuse: until(99, wrong("a"))}
	connection := rpctest.Serve(t, "billing", agentPolicy(), service.register)(t, rpc.Gateway)

	if _, err := handOff(rpc.WithRoute(ctx, rpc.Route{Revision: "a"}), connection); grpcCode(err) != codes.DeadlineExceeded {
		t.Errorf("got %v", err)
	}
}

func TestTheAnswersHeaderIsOfTheCallThatWasTaken(t *testing.T) {
	for name, test := range map[string]struct {
		service *agent
		before  bool // the header is asked for before the first answer, too
		attempt string
		reports int
		reason  string
	}{
		"after the answers":  {&agent{refuse: until(1, wrong("a"))}, false, "2", 2, ""},
		"before the answers": {&agent{refuse: until(1, wrong("a"))}, true, "2", 2, ""},
		"not refused":        {&agent{}, true, "1", 2, ""},
		"broken off":         {&agent{late: draining()}, true, "1", 1, "DRAINING"},
		"refused for good":   {&agent{refuse: until(99, draining())}, true, "1", 0, "DRAINING"},
	} {
		t.Run(name, func(t *testing.T) {
			connection := rpctest.Serve(t, "billing", agentPolicy(), test.service.register)(t, rpc.Gateway)

			stream, err := handoffv1.NewHandoffServiceClient(connection).Handoff(rpc.WithRoute(t.Context(), rpc.Route{}),
				&handoffv1.HandoffRequest{ConversationId: "c", TurnId: "t", ToAgent: "billing"})
			if err != nil {
				t.Fatal(err)
			}

			check := func() {
				if header, err := stream.Header(); err != nil || !slices.Equal(header.Get("attempt"), []string{test.attempt}) {
					t.Errorf("got %v, %v, want attempt %s", header, err, test.attempt)
				}
			}

			if test.before {
				check()
				check()
			}

			reports, last := receiveAll(stream)
			check()

			if len(reports) != test.reports || test.reason == "" && !errors.Is(last, io.EOF) || test.reason != "" && !fault.Is(last, test.reason) {
				t.Errorf("%v, %v", reports, last)
			}

			if len(reports) > 0 && reports[0].GetAccepted().GetAgent() != "billing" {
				t.Errorf("the first report was lost: %v", reports)
			}
		})
	}
}

func receiveAll(stream grpc.ServerStreamingClient[handoffv1.HandoffResponse]) ([]*handoffv1.HandoffResponse, error) {
	var reports []*handoffv1.HandoffResponse

	for {
		report, err := stream.Recv()
		if err != nil {
			return reports, err
		}

		reports = append(reports, report)
	}
}
