package gateway

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/timestamppb"

	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
	"github.com/serinhq/serin/internal/fault"
	"github.com/serinhq/serin/internal/telemetry"
)

// lockedBuffer is a log that several goroutines write.
type lockedBuffer struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (b *lockedBuffer) Write(data []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()

	return b.buffer.Write(data)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()

	return b.buffer.String()
}

func TestLogAndMetrics(t *testing.T) {
	var log lockedBuffer

	observed, err := telemetry.New(telemetry.Options{Service: "serin-gateway", Writer: &log})
	if err != nil {
		t.Fatal(err)
	}

	metrics := func() string {
		recorded := httptest.NewRecorder()
		observed.Handler().ServeHTTP(recorded, httptest.NewRequest(http.MethodGet, "/metrics", nil))
		text, _ := io.ReadAll(recorded.Body)

		return string(text)
	}

	w := newWorld(t, func(c *Config) { c.Telemetry = observed })
	id := w.create()
	w.send(id, "my secret words", "X-Request-Id", "find-me")
	w.do("GET", "/v1/conversations/c0", "")
	w.do("GET", "/wp-login.php", "")

	stream := w.sse("GET", "/v1/conversations/"+id+"/events", "")
	stream.until("turn_completed")

	if got := metrics(); !strings.Contains(got, "serin_gateway_sse_streams 1") {
		t.Errorf("an open stream does not show: %s", got)
	}

	stream.cut()
	eventually(t, "the stream's end shows", func() bool { return strings.Contains(metrics(), "serin_gateway_sse_streams 0") })

	got := metrics()
	for _, want := range []string{
		`serin_gateway_requests_total{code="200",door="rest",route="POST /v1/conversations/{conversation_id}/messages"} 1`,
		`serin_gateway_requests_total{code="404",door="rest",route="GET /v1/conversations/{conversation_id}"} 1`,
		`serin_gateway_requests_total{code="404",door="rest",route="unmatched"} 1`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s", want)
		}
	}

	if text := log.String(); strings.Contains(text, "secret") || !strings.Contains(text, `"request_id":"find-me"`) || !strings.Contains(text, `"tenant":"default"`) {
		t.Errorf("log: %s", text)
	}
}

// TestTurnsThatTheGatewayEndsAreMeasured: nobody else can.
func TestTurnsThatTheGatewayEndsAreMeasured(t *testing.T) {
	observed, err := telemetry.New(telemetry.Options{Service: "serin-gateway", Writer: io.Discard})
	if err != nil {
		t.Fatal(err)
	}

	w := newWorld(t, func(c *Config) { c.Telemetry = observed })
	w.store.grace = 0
	w.send(w.create(), "hello") // its agent ends it

	unavailable := w.do("POST", "/v1/conversations", `{"agent":"ghost"}`).at("conversation", "conversationId").(string)
	w.send(unavailable, "hello")

	late := w.create()

	w.store.mu.Lock()
	w.store.add(late, fakeEvent("t-late", "", &eventv1.TurnAccepted{Text: "hi", Deadline: timestamppb.Now()}))
	w.store.logs[late][1].Time = timestamppb.New(time.Now().Add(-100 * time.Second))
	w.store.mu.Unlock()

	want := []string{
		`serin_turn_duration_seconds_count{agent="ghost",outcome="failed",revision=""} 1`,
		`serin_turn_duration_seconds_count{agent="triage",outcome="failed",revision=""} 1`,
		`serin_turn_duration_seconds_bucket{agent="triage",outcome="failed",revision="",le="60"} 0`, // from its acceptance
		`serin_turn_duration_seconds_bucket{agent="triage",outcome="failed",revision="",le="120"} 1`,
	}

	eventually(t, "turns that the gateway ended show", func() bool {
		recorded := httptest.NewRecorder()
		observed.Handler().ServeHTTP(recorded, httptest.NewRequest(http.MethodGet, "/metrics", nil))

		return !slices.ContainsFunc(want, func(line string) bool { return !strings.Contains(recorded.Body.String(), line) })
	})
}

func TestPresentable(t *testing.T) {
	for name, c := range map[string]struct {
		inner  *fault.Error
		code   codes.Code
		reason string
	}{
		"a request's own error":       {fault.New(codes.NotFound, "TURN_NOT_FOUND", "x"), codes.NotFound, "TURN_NOT_FOUND"},
		"a bug":                       {fault.New(codes.Internal, "PANIC", "secret"), codes.Internal, "INTERNAL"},
		"refused between processes":   {fault.New(codes.PermissionDenied, "METHOD_NOT_ALLOWED", "secret"), codes.Internal, "INTERNAL"},
		"a process that is not there": {fault.New(codes.Unavailable, "", "secret"), codes.Unavailable, "UNAVAILABLE"},
		"no reason":                   {fault.New(codes.DeadlineExceeded, "", "late"), codes.DeadlineExceeded, "DEADLINE_EXCEEDED"},
	} {
		got := presentable(c.inner)
		if got.Code != c.code || got.Reason != c.reason || strings.Contains(got.Message, "secret") {
			t.Errorf("%s: %v %s %s", name, got.Code, got.Reason, got.Message)
		}
	}
}
