package rpc

import (
	"errors"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	"github.com/serinhq/serin/internal/fault"
)

func TestResending(t *testing.T) {
	unavailable := status.Error(codes.Unavailable, "connection refused")
	wrong := fault.New(codes.FailedPrecondition, "WRONG_REVISION", "").With("pinned_revision", "a")

	for name, test := range map[string]struct {
		call  resending
		err   error
		sent  bool
		waits []time.Duration // before each further attempt, until the error is the answer
	}{
		"waits for a server":         {resending{mesh: true, waits: true}, unavailable, false, nil},
		"does not wait":              {resending{mesh: true}, unavailable, false, millis(5, 10, 20, 40)},
		"outside of the mesh":        {resending{waits: true, idempotent: true}, unavailable, false, millis()},
		"may have arrived":           {resending{mesh: true, waits: true}, unavailable, true, millis()},
		"idempotent":                 {resending{mesh: true, waits: true, idempotent: true}, unavailable, true, millis(50, 100, 200, 400)},
		"an unknown commit":          {resending{mesh: true, waits: true, idempotent: true}, fault.New(codes.Unavailable, reasonCommitUnknown, "").GRPCStatus().Err(), true, millis()},
		"another code":               {resending{mesh: true, waits: true, idempotent: true}, status.Error(codes.Internal, ""), false, millis()},
		"no status":                  {resending{mesh: true, waits: true, idempotent: true}, errors.New("odd"), true, millis()},
		"an injected fault":          {resending{mesh: true, waits: true}, status.Error(codes.Unavailable, "RPC terminated due to fault injection"), false, millis()},
		"a full cluster":             {resending{mesh: true, waits: true}, status.Error(codes.Unavailable, "max requests 7 exceeded on service x"), false, millis()},
		"dropped":                    {resending{mesh: true, waits: true}, status.Error(codes.Unavailable, "RPC is dropped"), false, millis()},
		"refused without a route":    {resending{mesh: true, waits: true}, wrong, true, millis()},
		"refused":                    {resending{routed: true}, wrong, true, millis(0, 40, 80, 160)},
		"refused where it should be": {resending{routed: true, route: Route{Revision: "a"}}, wrong, true, millis(20, 40, 80, 160)},
	} {
		t.Run(name, func(t *testing.T) {
			if test.waits == nil { // for as long as the caller waits
				for range 100 {
					if wait, again := test.call.after(test.err, test.sent); !again || wait > longMissWait {
						t.Fatalf("again %v after %s", again, wait)
					}
				}

				return
			}

			for i, want := range test.waits {
				if wait, again := test.call.after(test.err, test.sent); !again || wait != want {
					t.Errorf("attempt %d: again %v after %s, want %s", i+2, again, wait, want)
				}
			}

			if wait, again := test.call.after(test.err, test.sent); again {
				t.Errorf("once more after %s", wait)
			}
		})
	}
}

func millis(list ...int) []time.Duration {
	waits := make([]time.Duration, len(list))
	for i, each := range list {
		waits[i] = time.Duration(each) * time.Millisecond
	}

	return waits
}

func TestIdempotentPrefixIsTheService(t *testing.T) {
	if want := "/" + contextv1.ContextService_ServiceDesc.ServiceName + "/"; idempotentPrefix != want {
		t.Errorf("got %s, want %s", idempotentPrefix, want)
	}
}

func TestTheMeshNeedsABootstrap(t *testing.T) {
	for name, want := range map[string]bool{"GRPC_XDS_BOOTSTRAP": true, "GRPC_XDS_BOOTSTRAP_CONFIG": true, "OTHER": false} {
		err := checkBootstrap(func(asked string) string {
			if asked == name {
				return "x"
			}

			return ""
		})
		if (err == nil) != want {
			t.Errorf("with %s: %v", name, err)
		}
	}
}
