package gateway

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	rolloutv1 "github.com/serinhq/serin/gen/serin/rollout/v1"
	"github.com/serinhq/serin/internal/fault"
)

// fakeController answers every command with the rollout that it was asked about, unless it refuses.
type fakeController struct {
	rolloutv1.UnimplementedRolloutServiceServer

	changes chan *rolloutv1.WatchRolloutsResponse

	mu       sync.Mutex
	phase    rolloutv1.Phase // of the rollout that is got
	refuse   error
	once     []error // these come before refuse
	requests []proto.Message
	actors   []string
	watching int
}

// withController gives a gateway a controller behind real gRPC.
func withController(tb testing.TB) (*fakeController, func(*Config)) {
	tb.Helper()

	fake := &fakeController{changes: make(chan *rolloutv1.WatchRolloutsResponse, 10)}
	server := newRestartable(tb, func(server *grpc.Server) { rolloutv1.RegisterRolloutServiceServer(server, fake) })

	return fake, func(c *Config) { c.Rollouts = rolloutv1.NewRolloutServiceClient(server.client) }
}

func (f *fakeController) refuses(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()

	f.refuse = err
}

// take notes who asks for what.
func (f *fakeController) take(ctx context.Context, request proto.Message) error {
	f.mu.Lock()
	defer f.mu.Unlock()

	f.requests = append(f.requests, request)
	f.actors = append(f.actors, strings.Join(metadata.ValueFromIncomingContext(ctx, "serin-actor"), ","))

	if len(f.once) > 0 {
		next := f.once[0]
		f.once = f.once[1:]

		return next
	}

	return f.refuse
}

// refusesOnce makes the next calls fail, one by one.
func (f *fakeController) refusesOnce(errs ...error) {
	f.mu.Lock()
	defer f.mu.Unlock()

	f.once = errs
}

// last is what was asked last, and by whom.
func (f *fakeController) last() (request proto.Message, actor string) {
	f.mu.Lock()
	defer f.mu.Unlock()

	if len(f.requests) == 0 {
		return nil, ""
	}

	return f.requests[len(f.requests)-1], f.actors[len(f.actors)-1]
}

func (f *fakeController) watchers() int {
	f.mu.Lock()
	defer f.mu.Unlock()

	return f.watching
}

func (f *fakeController) join(by int) {
	f.mu.Lock()
	defer f.mu.Unlock()

	f.watching += by
}

func rolloutOf(agent string) *rolloutv1.Rollout {
	return &rolloutv1.Rollout{Agent: agent, Phase: rolloutv1.Phase_PHASE_PROGRESSING, Weight: 5}
}

func (f *fakeController) ListRollouts(ctx context.Context, req *rolloutv1.ListRolloutsRequest) (*rolloutv1.ListRolloutsResponse, error) {
	return &rolloutv1.ListRolloutsResponse{Rollouts: []*rolloutv1.Rollout{rolloutOf("billing")}}, f.take(ctx, req)
}

func (f *fakeController) GetRollout(ctx context.Context, req *rolloutv1.GetRolloutRequest) (*rolloutv1.GetRolloutResponse, error) {
	found := rolloutOf(req.GetAgent())
	if f.phase != 0 {
		found.Phase = f.phase
	}

	return &rolloutv1.GetRolloutResponse{Rollout: found}, f.take(ctx, req)
}

func (f *fakeController) WatchRollouts(req *rolloutv1.WatchRolloutsRequest, stream grpc.ServerStreamingServer[rolloutv1.WatchRolloutsResponse]) error {
	if err := f.take(stream.Context(), req); err != nil {
		return err
	}

	f.join(1)
	defer f.join(-1)

	for {
		select {
		case change, more := <-f.changes:
			if !more {
				return nil
			}

			if err := stream.Send(change); err != nil {
				return err
			}
		case <-stream.Context().Done():
			return stream.Context().Err()
		}
	}
}

func (f *fakeController) StartRollout(ctx context.Context, req *rolloutv1.StartRolloutRequest) (*rolloutv1.StartRolloutResponse, error) {
	return &rolloutv1.StartRolloutResponse{Rollout: rolloutOf(req.GetAgent())}, f.take(ctx, req)
}

func (f *fakeController) SetWeight(ctx context.Context, req *rolloutv1.SetWeightRequest) (*rolloutv1.SetWeightResponse, error) {
	return &rolloutv1.SetWeightResponse{Rollout: rolloutOf(req.GetAgent())}, f.take(ctx, req)
}

func (f *fakeController) PauseRollout(ctx context.Context, req *rolloutv1.PauseRolloutRequest) (*rolloutv1.PauseRolloutResponse, error) {
	return &rolloutv1.PauseRolloutResponse{Rollout: rolloutOf(req.GetAgent())}, f.take(ctx, req)
}

func (f *fakeController) ResumeRollout(ctx context.Context, req *rolloutv1.ResumeRolloutRequest) (*rolloutv1.ResumeRolloutResponse, error) {
	return &rolloutv1.ResumeRolloutResponse{Rollout: rolloutOf(req.GetAgent())}, f.take(ctx, req)
}

func (f *fakeController) PromoteRollout(ctx context.Context, req *rolloutv1.PromoteRolloutRequest) (*rolloutv1.PromoteRolloutResponse, error) {
	return &rolloutv1.PromoteRolloutResponse{Rollout: rolloutOf(req.GetAgent())}, f.take(ctx, req)
}

func (f *fakeController) AbortRollout(ctx context.Context, req *rolloutv1.AbortRolloutRequest) (*rolloutv1.AbortRolloutResponse, error) {
	return &rolloutv1.AbortRolloutResponse{Rollout: rolloutOf(req.GetAgent())}, f.take(ctx, req)
}

func (f *fakeController) UndoRollout(ctx context.Context, req *rolloutv1.UndoRolloutRequest) (*rolloutv1.UndoRolloutResponse, error) {
	return &rolloutv1.UndoRolloutResponse{Rollout: rolloutOf(req.GetAgent())}, f.take(ctx, req)
}

func (f *fakeController) RetryRollout(ctx context.Context, req *rolloutv1.RetryRolloutRequest) (*rolloutv1.RetryRolloutResponse, error) {
	return &rolloutv1.RetryRolloutResponse{Rollout: rolloutOf(req.GetAgent())}, f.take(ctx, req)
}

func (f *fakeController) ListHistory(ctx context.Context, req *rolloutv1.ListHistoryRequest) (*rolloutv1.ListHistoryResponse, error) {
	return &rolloutv1.ListHistoryResponse{NextPageToken: "7"}, f.take(ctx, req)
}

func (f *fakeController) GetRevision(ctx context.Context, req *rolloutv1.GetRevisionRequest) (*rolloutv1.GetRevisionResponse, error) {
	return &rolloutv1.GetRevisionResponse{Agent: req.GetAgent(), Revision: req.GetRevision()}, f.take(ctx, req)
}

// rolloutCall is a REST call and what the controller shall be asked.
type rolloutCall struct {
	method, path, body string
	want               proto.Message
}

// rolloutCalls has one call for each unary method.
func rolloutCalls() map[string]rolloutCall {
	return map[string]rolloutCall{
		"ListRollouts": {"GET", "/v1/rollouts", "", &rolloutv1.ListRolloutsRequest{}},
		"GetRollout":   {"GET", "/v1/rollouts/billing", "", &rolloutv1.GetRolloutRequest{Agent: "billing"}},
		"StartRollout": {
			"POST", "/v1/rollouts/billing:start", `{"declaration":"{}","plan":{"steps":[5,50],"pause":"1.500s","automatic":true}}`,
			&rolloutv1.StartRolloutRequest{Agent: "billing", Declaration: "{}", Plan: &rolloutv1.Plan{
				Steps: []int32{5, 50}, Pause: durationpb.New(1500 * time.Millisecond), Automatic: true,
			}},
		},
		"SetWeight":      {"POST", "/v1/rollouts/billing:setWeight", `{"weight":30}`, &rolloutv1.SetWeightRequest{Agent: "billing", Weight: 30}},
		"PauseRollout":   {"POST", "/v1/rollouts/billing:pause", "", &rolloutv1.PauseRolloutRequest{Agent: "billing"}},
		"ResumeRollout":  {"POST", "/v1/rollouts/billing:resume", "{}", &rolloutv1.ResumeRolloutRequest{Agent: "billing"}},
		"PromoteRollout": {"POST", "/v1/rollouts/billing:promote", `{"full":true}`, &rolloutv1.PromoteRolloutRequest{Agent: "billing", Full: true}},
		"AbortRollout": {
			"POST", "/v1/rollouts/billing:abort", `{"fence":true,"reason":"r"}`,
			&rolloutv1.AbortRolloutRequest{Agent: "billing", Fence: true, Reason: "r"},
		},
		"UndoRollout":  {"POST", "/v1/rollouts/billing:undo", "", &rolloutv1.UndoRolloutRequest{Agent: "billing"}},
		"RetryRollout": {"POST", "/v1/rollouts/billing:retry", "", &rolloutv1.RetryRolloutRequest{Agent: "billing"}},
		"ListHistory": {
			"GET", "/v1/rollouts/billing/history?pageSize=2&pageToken=9", "",
			&rolloutv1.ListHistoryRequest{Agent: "billing", PageSize: 2, PageToken: "9"},
		},
		"GetRevision": {
			"GET", "/v1/rollouts/billing/revisions/stable", "", &rolloutv1.GetRevisionRequest{Agent: "billing", Revision: "stable"},
		},
	}
}

// Every method goes to the controller as it came, in the name of who asked, and only for operators.
func TestRolloutsOverREST(t *testing.T) {
	fake, controlled := withController(t)
	w := newWorld(t, withTokens(t), controlled)
	calls := rolloutCalls()

	for _, method := range rolloutv1.RolloutService_ServiceDesc.Methods {
		call, known := calls[method.MethodName]
		if !known {
			t.Errorf("%s has no call here", method.MethodName)

			continue
		}

		for token, want := range map[string]struct {
			status int
			reason any
		}{
			"": {401, "TOKEN_MISSING"}, annToken: {403, "OPERATOR_REQUIRED"},
		} {
			header := []string{}
			if token != "" {
				header = bearer(token)
			}

			if got := w.do(call.method, call.path, call.body, header...); got.status != want.status || got.reason() != want.reason {
				t.Errorf("%s with %q: %d %v", method.MethodName, token, got.status, got.body)
			}
		}

		if asked, _ := fake.last(); proto.Equal(asked, call.want) {
			t.Errorf("%s: someone without the role came through", method.MethodName)
		}

		got := w.do(call.method, call.path, call.body, append(bearer(bossToken), "Serin-Actor", "someone/else")...)
		if asked, actor := fake.last(); got.status != 200 || !proto.Equal(asked, call.want) || actor != "acme/boss" {
			t.Errorf("%s: %d %v; asked %v by %s", method.MethodName, got.status, got.body, asked, actor)
		}
	}
}

// What the controller refuses, and what is refused before it, comes out with its reason.
func TestRolloutErrors(t *testing.T) {
	fake, controlled := withController(t)
	w := newWorld(t, controlled)

	for name, c := range map[string]struct {
		refuse             error
		method, path, body string
		status             int
		reason, field      string
	}{
		"unknown agent": {
			fault.New(codes.NotFound, "AGENT_UNKNOWN", "no"), "GET", "/v1/rollouts/nobody", "", 404, "AGENT_UNKNOWN", "",
		},
		"nothing to promote": {
			fault.New(codes.FailedPrecondition, "NOTHING_TO_PROMOTE", "no"), "POST", "/v1/rollouts/billing:promote", "{}",
			409, "NOTHING_TO_PROMOTE", "",
		},
		"bad declaration": {
			fault.Invalid(fault.Violation{Field: "declaration", Message: "spec.prompt: required"}), "POST", "/v1/rollouts/billing:start",
			`{"declaration":"{}"}`, 400, "INVALID", "declaration",
		},
		"bad page token": {
			fault.Invalid(fault.Violation{Field: "page_token", Message: "bad"}), "GET", "/v1/rollouts/billing/history?pageToken=x", "",
			400, "INVALID", "pageToken",
		},
		"inside": {
			fault.New(codes.Internal, "SQL", "secret"), "GET", "/v1/rollouts", "", 500, "INTERNAL", "",
		},
		"not its business": {
			fault.New(codes.PermissionDenied, "METHOD_NOT_ALLOWED", "secret"), "GET", "/v1/rollouts", "", 500, "INTERNAL", "",
		},
		"weight 101":     {nil, "POST", "/v1/rollouts/billing:setWeight", `{"weight":101}`, 400, "INVALID", "weight"},
		"weight -1":      {nil, "POST", "/v1/rollouts/billing:setWeight", `{"weight":-1}`, 400, "INVALID", "weight"},
		"no declaration": {nil, "POST", "/v1/rollouts/billing:start", `{}`, 400, "INVALID", "declaration"},
		"long agent":     {nil, "GET", "/v1/rollouts/" + strings.Repeat("a", 64), "", 400, "INVALID", "agent"},
		"unknown field":  {nil, "POST", "/v1/rollouts/billing:abort", `{"fenced":true}`, 400, "INVALID", "fenced"},
		"unknown verb":   {nil, "POST", "/v1/rollouts/billing:delete", `{}`, 404, "ROUTE_NOT_FOUND", ""},
		"wrong method":   {nil, "GET", "/v1/rollouts/billing:abort/x", "", 404, "ROUTE_NOT_FOUND", ""},
		"page size":      {nil, "GET", "/v1/rollouts/billing/history?pageSize=1001", "", 400, "INVALID", "pageSize"},
	} {
		t.Run(name, func(t *testing.T) {
			fake.refuses(c.refuse)

			got := w.do(c.method, c.path, c.body)
			if got.status != c.status || got.reason() != c.reason || c.field != "" && got.violation(c.field) == "" {
				t.Errorf("%d %v", got.status, got.body)
			}

			if strings.Contains(got.body["error"].(map[string]any)["message"].(string), "secret") {
				t.Errorf("it tells what is inside: %v", got.body)
			}
		})
	}
}

// An abort does not get lost with a controller that dies, before or after it took it.
func TestAnAbortIsSentUntilItIsTaken(t *testing.T) {
	fake, controlled := withController(t)
	w := newWorld(t, controlled)
	gone, over := fault.New(codes.Unavailable, "", "gone"), fault.New(codes.FailedPrecondition, "NO_CANDIDATE", "over")

	for name, c := range map[string]struct {
		once   []error
		phase  rolloutv1.Phase
		status int
	}{
		"it died before":                {[]error{gone, gone}, 0, http.StatusOK},
		"it died after":                 {[]error{gone, over}, rolloutv1.Phase_PHASE_ABORTING, http.StatusOK},
		"it died before, nothing to do": {[]error{gone, over}, rolloutv1.Phase_PHASE_IDLE, http.StatusConflict},
		"it died after, and is over":    {[]error{gone, over}, rolloutv1.Phase_PHASE_FAILED, http.StatusOK},
		"nothing to do":                 {[]error{over}, rolloutv1.Phase_PHASE_FAILED, http.StatusConflict},
		"it died, and nothing is known": {[]error{gone, over, fault.New(codes.NotFound, "", "no")}, 0, http.StatusNotFound},
	} {
		fake.phase = c.phase
		fake.refusesOnce(c.once...)

		got := w.do("POST", "/v1/rollouts/billing:abort", "{}")
		if got.status != c.status || c.status == http.StatusOK && got.at("rollout", "agent") != "billing" {
			t.Errorf("%s: %d %v", name, got.status, got.body)
		}
	}

	fake.refusesOnce(gone)

	if got := w.do("POST", "/v1/rollouts/billing:promote", "{}"); got.status != http.StatusServiceUnavailable {
		t.Errorf("anything else is up to the caller: %d %v", got.status, got.body)
	}
}

// A gateway without a controller says that it has none.
func TestNoRollouts(t *testing.T) {
	w := newWorld(t)

	for _, call := range rolloutCalls() {
		if got := w.do(call.method, call.path, call.body); got.status != http.StatusNotImplemented || got.reason() != "NO_ROLLOUTS" {
			t.Errorf("%s: %d %v", call.path, got.status, got.body)
		}
	}

	if got := w.do("GET", "/v1/rollouts", "", "Accept", "text/event-stream"); got.reason() != "NO_ROLLOUTS" {
		t.Errorf("SSE: %d %v", got.status, got.body)
	}
}

func change(agents ...string) *rolloutv1.WatchRolloutsResponse {
	change := &rolloutv1.WatchRolloutsResponse{}
	for _, agent := range agents {
		change.Rollouts = append(change.Rollouts, rolloutOf(agent))
	}

	return change
}

// A list and a single rollout are streams for those who ask for that.
func TestRolloutsStream(t *testing.T) {
	fake, controlled := withController(t)
	w := newWorld(t, withTokens(t), controlled)

	for path, agent := range map[string]string{"/v1/rollouts": "", "/v1/rollouts/billing": "billing"} {
		fake.changes <- change("billing", "triage")

		stream := w.sse("GET", path, "", bearer(bossToken)...)
		fake.changes <- change("billing")

		for _, want := range []*rolloutv1.WatchRolloutsResponse{change("billing", "triage"), change("billing")} {
			got, more := stream.read()
			sent := &rolloutv1.WatchRolloutsResponse{}

			if err := protojson.Unmarshal([]byte(got.data), sent); !more || err != nil || got.event != "rollouts" || got.id != "" || !proto.Equal(sent, want) {
				t.Fatalf("%s: %v %v, want %v", path, got, err, want)
			}
		}

		asked, actor := fake.last()
		if !proto.Equal(asked, &rolloutv1.WatchRolloutsRequest{Agent: agent}) || actor != "acme/boss" {
			t.Errorf("%s: asked %v by %s", path, asked, actor)
		}

		stream.cut()
		eventually(t, "the watch ends with its reader", func() bool { return fake.watchers() == 0 })
	}

	for token, want := range map[string]string{annToken: "OPERATOR_REQUIRED", "unknown-0123456789": "TOKEN_INVALID"} {
		if got := w.do("GET", "/v1/rollouts", "", append(bearer(token), "Accept", "text/event-stream")...); got.reason() != want {
			t.Errorf("%s: %d %v", token, got.status, got.body)
		}
	}

	fake.refuses(fault.New(codes.NotFound, "AGENT_UNKNOWN", "no"))

	got := w.do("GET", "/v1/rollouts/nobody", "", append(bearer(bossToken), "Accept", "text/event-stream")...)
	if got.status != http.StatusNotFound || got.reason() != "AGENT_UNKNOWN" {
		t.Errorf("an unknown agent: %d %v", got.status, got.body)
	}
}

// A stream that the controller ends, ends; one that breaks says so; draining tells readers to come again.
func TestRolloutsStreamEnds(t *testing.T) {
	fake, controlled := withController(t)
	w := newWorld(t, controlled)

	fake.changes <- change("billing")

	stream := w.sse("GET", "/v1/rollouts", "")
	stream.until("rollouts")
	w.service.Drain()

	if got := stream.all(); len(got) != 1 || !strings.HasPrefix(got[0].comment, "draining") {
		t.Errorf("after draining: %v", got)
	}

	if got := w.do("GET", "/v1/rollouts", ""); got.status != http.StatusOK {
		t.Errorf("a call while draining: %d %v", got.status, got.body)
	}
}

func TestRolloutsStreamIsEndedByTheController(t *testing.T) {
	fake, controlled := withController(t)
	w := newWorld(t, controlled)

	fake.changes <- change("billing")

	stream := w.sse("GET", "/v1/rollouts", "")
	stream.until("rollouts")
	close(fake.changes)

	if got := stream.all(); len(got) != 1 || got[0].comment != "end" {
		t.Errorf("got %v", got)
	}
}

// The public gRPC door has RolloutService too.
func TestRolloutsOverGRPC(t *testing.T) {
	fake, controlled := withController(t)
	w := newWorld(t, withTokens(t), controlled)
	conn := newPublicConn(t, w.service)
	client := rolloutv1.NewRolloutServiceClient(conn)
	as := func(token string) context.Context {
		return metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+token, "serin-actor", "someone/else")
	}

	if got := listServices(t, conn); !slices.Contains(got, "serin.rollout.v1.RolloutService") {
		t.Errorf("reflection: %v", got)
	}

	if _, err := client.AbortRollout(as(annToken), &rolloutv1.AbortRolloutRequest{Agent: "billing"}); reasonOf(err) != "OPERATOR_REQUIRED" {
		t.Errorf("a user: %v", err)
	}

	if _, err := client.AbortRollout(as(bossToken), &rolloutv1.AbortRolloutRequest{Agent: "billing"}); err != nil {
		t.Error(err)
	}

	if asked, actor := fake.last(); actor != "acme/boss" || !proto.Equal(asked, &rolloutv1.AbortRolloutRequest{Agent: "billing"}) {
		t.Errorf("asked %v by %s", asked, actor)
	}

	stream, err := client.WatchRollouts(as(bossToken), &rolloutv1.WatchRolloutsRequest{})
	if err != nil {
		t.Fatal(err)
	}

	fake.changes <- change("billing")

	if got, err := stream.Recv(); err != nil || !proto.Equal(got, change("billing")) {
		t.Errorf("watch: %v %v", got, err)
	}

	w.service.Drain()

	if _, err := stream.Recv(); !fault.Is(err, "DRAINING") {
		t.Errorf("after draining: %v", err)
	}
}
