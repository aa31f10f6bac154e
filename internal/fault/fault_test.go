package fault_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	"github.com/serinhq/serin/internal/fault"
	"github.com/serinhq/serin/internal/rpc"
	"github.com/serinhq/serin/internal/rpc/rpctest"
)

// full has everything that a fault can carry.
func full() *fault.Error {
	err := fault.Invalid(
		fault.Violation{Field: "spec.budgets.steps", Message: "must be at least 1, is -3"},
		fault.Violation{Field: "spec.model", Message: "is needed"},
	)

	return err.With("file", "billing.yaml").With("line", "12").After(1500 * time.Millisecond)
}

func same(t *testing.T, got, want *fault.Error) {
	t.Helper()

	if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(fault.Error{}), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("not the same fault (-want +got):\n%s", diff)
	}
}

func TestStatusRoundTrip(t *testing.T) {
	for _, want := range []*fault.Error{
		full(),
		fault.New(codes.FailedPrecondition, "STALE_EPOCH", "epoch %d is over", 3),
		{Code: codes.Unknown, Message: "bare"},
		{Code: codes.Unavailable},
	} {
		same(t, fault.From(want.GRPCStatus().Err()), want)
		same(t, fault.From(fmt.Errorf("calling: %w", want.GRPCStatus().Err())), want)
	}
}

// relay is a service that fails with what the next one says, or with a fault of its own at the end of the chain.
type relay struct {
	contextv1.UnimplementedContextServiceServer

	next contextv1.ContextServiceClient
	err  error
}

func (r *relay) GetTurn(ctx context.Context, request *contextv1.GetTurnRequest) (*contextv1.GetTurnResponse, error) {
	if r.next == nil {
		return nil, r.err
	}

	response, err := r.next.GetTurn(ctx, request)
	if err != nil {
		return nil, fmt.Errorf("asking the next one: %w", err)
	}

	return response, nil
}

func serve(t *testing.T, service *relay) contextv1.ContextServiceClient {
	t.Helper()

	dial := rpctest.Serve(t, rpc.Context, rpc.Policy{contextv1.ContextService_GetTurn_FullMethodName: rpc.AnyAgent},
		func(registrar grpc.ServiceRegistrar) { contextv1.RegisterContextServiceServer(registrar, service) })

	return contextv1.NewContextServiceClient(dial(t, "billing"))
}

func TestFaultsSurviveHops(t *testing.T) {
	last := serve(t, &relay{err: full()})
	first := serve(t, &relay{next: serve(t, &relay{next: last})})

	_, err := first.GetTurn(t.Context(), &contextv1.GetTurnRequest{TurnId: "t1"})
	same(t, fault.From(err), full())
}

func TestFrom(t *testing.T) {
	own := full()

	for name, test := range map[string]struct {
		err    error
		code   codes.Code
		reason string
	}{
		"nil":              {nil, codes.OK, ""},
		"own":              {own, codes.InvalidArgument, "INVALID"},
		"wrapped":          {fmt.Errorf("loading: %w", own), codes.InvalidArgument, "INVALID"},
		"joined":           {errors.Join(io.EOF, own), codes.InvalidArgument, "INVALID"},
		"status":           {status.Error(codes.NotFound, "no turn t1"), codes.NotFound, ""},
		"deadline":         {fmt.Errorf("x: %w", context.DeadlineExceeded), codes.DeadlineExceeded, "DEADLINE_EXCEEDED"},
		"cancelled":        {context.Canceled, codes.Canceled, "CANCELLED"},
		"anything else":    {io.ErrUnexpectedEOF, codes.Internal, "INTERNAL"},
		"status over own":  {status.FromContextError(context.Canceled).Err(), codes.Canceled, ""},
		"a gRPC deadline":  {status.Error(codes.DeadlineExceeded, "late"), codes.DeadlineExceeded, ""},
		"wrapping by %w":   {fault.New(codes.Unavailable, "DOWN", "store: %w", io.EOF), codes.Unavailable, "DOWN"},
		"foreign, unknown": {status.Error(codes.Code(99), "?"), codes.Code(99), ""},
	} {
		got := fault.From(test.err)
		if test.err == nil {
			if got != nil {
				t.Errorf("%s: From(nil) = %v", name, got)
			}

			continue
		}

		if got.Code != test.code || got.Reason != test.reason || fault.CodeOf(test.err) != test.code {
			t.Errorf("%s: %s (%s), want %s (%s)", name, got.Code, got.Reason, test.code, test.reason)
		}
	}
}

func TestCauseIsKept(t *testing.T) {
	err := fault.New(codes.Unavailable, "DOWN", "store: %w", io.EOF).With("a", "b").After(time.Second)
	if !errors.Is(err, io.EOF) || err.Error() != "store: EOF" {
		t.Errorf("got %v, which hides its cause", err)
	}

	if !errors.Is(fault.From(context.Canceled), context.Canceled) {
		t.Error("From() hides what it was made from")
	}
}

func TestIs(t *testing.T) {
	err := fmt.Errorf("x: %w", fault.New(codes.Aborted, "VERSION_CONFLICT", "x"))
	if !fault.Is(err, "OTHER", "VERSION_CONFLICT") || fault.Is(err, "OTHER") || fault.Is(err) || fault.Is(nil, "") {
		t.Error("Is() is wrong about VERSION_CONFLICT")
	}

	if fault.CodeOf(nil) != codes.OK {
		t.Error("CodeOf(nil) is not OK")
	}
}

func TestCopiesLeaveTheOriginalAlone(t *testing.T) {
	original := fault.New(codes.NotFound, "NOT_FOUND", "x").With("a", "1")
	_ = original.With("a", "2").With("b", "3").After(time.Second)

	if len(original.Metadata) != 1 || original.Metadata["a"] != "1" || original.RetryAfter != 0 {
		t.Errorf("the original changed: %+v", original)
	}
}

func TestHTTPStatus(t *testing.T) {
	want := map[codes.Code]int{
		codes.OK: 200, codes.Canceled: 499, codes.Unknown: 500, codes.InvalidArgument: 400, codes.DeadlineExceeded: 504,
		codes.NotFound: 404, codes.AlreadyExists: 409, codes.PermissionDenied: 403, codes.ResourceExhausted: 429,
		codes.FailedPrecondition: 409, codes.Aborted: 409, codes.OutOfRange: 400, codes.Unimplemented: 501,
		codes.Internal: 500, codes.Unavailable: 503, codes.DataLoss: 500, codes.Unauthenticated: 401, codes.Code(99): 500,
	}

	for code, status := range want {
		if got := (&fault.Error{Code: code}).HTTPStatus(); got != status {
			t.Errorf("%s answers %d (%s), want %d", code, got, http.StatusText(got), status)
		}
	}

	for code := codes.OK; code <= codes.Unauthenticated; code++ {
		if _, ok := want[code]; !ok {
			t.Errorf("%s is not tested", code)
		}
	}
}

// FuzzFrom feeds statuses of other servers: whatever they hold, reading must not panic, and what was read once must
// survive the next hop.
func FuzzFrom(f *testing.F) {
	for _, err := range []*fault.Error{full(), fault.New(codes.Internal, "X", "y")} {
		data, _ := proto.Marshal(err.GRPCStatus().Proto())
		f.Add(data)
	}

	f.Fuzz(func(t *testing.T, data []byte) {
		message := &spb.Status{}
		if proto.Unmarshal(data, message) != nil || message.GetCode() == 0 {
			return
		}

		first := fault.From(status.FromProto(message).Err())
		if first.Reason == "" { // details without a reason are not ours to hand on
			first.Metadata = nil
		}

		if first.RetryAfter < 0 {
			first.RetryAfter = 0
		}

		same(t, fault.From(first.GRPCStatus().Err()), first)
	})
}
