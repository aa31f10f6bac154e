package outbound

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"go.opentelemetry.io/otel/trace"

	"github.com/serinhq/serin/internal/agentspec"
)

// TestServersAreToldOfTheTraceIfTheyShallBe asks a server that sends to another one, which is told in neither case.
func TestServersAreToldOfTheTraceIfTheyShallBe(t *testing.T) {
	ctx := trace.ContextWithRemoteSpanContext(t.Context(), trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceFlags: trace.FlagsSampled,
	}))
	told := map[string]string{}

	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		told["elsewhere"] = r.Header.Get("Traceparent")
	}))
	defer elsewhere.Close()

	home := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		told["home"] = r.Header.Get("Traceparent")
		http.Redirect(w, r, elsewhere.URL, http.StatusFound)
	}))
	defer home.Close()

	for traced, want := range map[bool]string{true: "00-01000000000000000000000000000000-0200000000000000-01", false: ""} {
		client, err := New(Config{Spec: &agentspec.MCPServerSpec{
			URL: home.URL, AllowPrivate: true, TraceContext: traced, Redirects: []string{elsewhere.Listener.Addr().String()},
		}, Getenv: func(string) string { return "" }})
		if err != nil {
			t.Fatal(err)
		}

		request, err := http.NewRequestWithContext(ctx, http.MethodGet, home.URL, nil)
		if err != nil {
			t.Fatal(err)
		}

		response, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}

		response.Body.Close()
		client.CloseIdleConnections()

		if there, asked := told["elsewhere"]; told["home"] != want || there != "" || !asked {
			t.Errorf("traceContext %v: told %v, want %q at home and nothing elsewhere", traced, told, want)
		}
	}
}
