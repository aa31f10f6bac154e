package rpctest_test

import (
	"fmt"
	"strings"
	"testing"

	"google.golang.org/grpc"

	handoffv1 "github.com/serinhq/serin/gen/serin/handoff/v1"
	"github.com/serinhq/serin/internal/rpc"
	"github.com/serinhq/serin/internal/rpc/rpctest"
)

// recorder is a test that only notes its errors.
type recorder struct {
	testing.TB

	errors []string
}

func (r *recorder) Errorf(format string, args ...any) {
	r.errors = append(r.errors, fmt.Sprintf(format, args...))
}

// TestWalkMethodsFindsHoles serves one policy and walks another: each difference must be noticed.
func TestWalkMethodsFindsHoles(t *testing.T) {
	closed := rpc.Policy{
		handoffv1.HandoffService_Handoff_FullMethodName:  rpc.Names(rpc.Gateway),
		handoffv1.HandoffService_Describe_FullMethodName: rpc.Names(rpc.Gateway),
	}
	open := rpc.Policy{
		handoffv1.HandoffService_Handoff_FullMethodName:  rpc.AnyWorkload,
		handoffv1.HandoffService_Describe_FullMethodName: rpc.AnyWorkload,
	}
	missing := rpc.Policy{
		handoffv1.HandoffService_Handoff_FullMethodName: rpc.Names(rpc.Gateway),
		"/serin.handoff.v1.HandoffService/Describ":      rpc.Names(rpc.Gateway),
	}

	for name, test := range map[string]struct {
		served, walked rpc.Policy
		want           []string
	}{
		"as it should be":      {closed, closed, nil},
		"open to all, so said": {open, open, nil},
		"open, said to be closed": {open, closed, []string{
			"/serin.handoff.v1.HandoffService/Describe answered a stranger", "/serin.handoff.v1.HandoffService/Handoff answered a stranger",
		}},
		"a method left out": {closed, missing, []string{
			"the policy names /serin.handoff.v1.HandoffService/Describ,", "/serin.handoff.v1.HandoffService/Describe is not in the policy",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			rig := rpctest.Start(t, "billing", test.served, func(registrar grpc.ServiceRegistrar) {
				handoffv1.RegisterHandoffServiceServer(registrar, handoffv1.UnimplementedHandoffServiceServer{})
			})

			found := &recorder{TB: t}
			rpctest.WalkMethods(found, rig.Server, rig.Dial, test.walked)

			if len(found.errors) != len(test.want) {
				t.Fatalf("found %q, want %q", found.errors, test.want)
			}

			for i, want := range test.want {
				if !strings.Contains(found.errors[i], want) {
					t.Errorf("found %q, want %q", found.errors[i], want)
				}
			}
		})
	}
}
