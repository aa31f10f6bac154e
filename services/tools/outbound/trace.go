package outbound

import (
	"context"
	"net/http"
	"net/http/httptrace"
	"sync"
)

// Trace says how far a request came: of several that redirects led to, the last one. What it says holds once the request
// has ended.
type Trace struct {
	mu     sync.Mutex
	sent   bool
	status int
}

type traceKey struct{}

// WithTrace has the request that is made with the context traced.
func WithTrace(ctx context.Context) (context.Context, *Trace) {
	trace := &Trace{}

	return context.WithValue(ctx, traceKey{}, trace), trace
}

// Traced reports whether what is made with the context is traced.
func Traced(ctx context.Context) bool {
	_, ok := ctx.Value(traceKey{}).(*Trace)

	return ok
}

// Sent reports whether the server may have seen the request: its headers were written to a connection.
func (t *Trace) Sent() bool {
	t.mu.Lock()
	defer t.mu.Unlock()

	return t.sent
}

// Status is the status of the last answer; 0 if there was none.
func (t *Trace) Status() int {
	t.mu.Lock()
	defer t.mu.Unlock()

	return t.status
}

// begin forgets what was before: who answered with a redirect did nothing else.
func (t *Trace) begin() {
	t.mu.Lock()
	defer t.mu.Unlock()

	t.sent, t.status = false, 0
}

func (t *Trace) wrote() {
	t.mu.Lock()
	defer t.mu.Unlock()

	t.sent = true
}

func (t *Trace) answered(status int) {
	t.mu.Lock()
	defer t.mu.Unlock()

	t.status = status
}

// traced sends a request, and notes in its context's trace how far it comes. Of a request that only goes on with the
// answer to another, such as the GET of a stream that broke, nothing is noted.
func traced(request *http.Request, next http.RoundTripper) (*http.Response, error) {
	trace, ok := request.Context().Value(traceKey{}).(*Trace)
	if !ok || request.Header.Get("Last-Event-Id") != "" {
		return next.RoundTrip(request) //nolint:wrapcheck // it is a round tripper like the one below it
	}

	trace.begin()

	ctx := httptrace.WithClientTrace(request.Context(), &httptrace.ClientTrace{WroteHeaders: trace.wrote})

	response, err := next.RoundTrip(request.WithContext(ctx))
	if err == nil {
		trace.answered(response.StatusCode)
	}

	return response, err //nolint:wrapcheck // as above
}
