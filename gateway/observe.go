package gateway

import (
	"log/slog"
	"net/http"
	"time"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// requestIDHeader carries a request's id in both directions.
const requestIDHeader = "X-Request-ID"

// recorder remembers how a request was answered, and gives its client a time to take what is written.
type recorder struct {
	http.ResponseWriter

	control *http.ResponseController
	// patience is how long the client may take for what is written at once.
	patience time.Duration
	status   int
	bytes    int64
}

// extend gives the client more time. Where there are no deadlines, the server's own limits must do.
func (r *recorder) extend() { _ = r.control.SetWriteDeadline(time.Now().Add(r.patience)) }

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}

	r.extend()
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(data []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}

	r.extend()

	n, err := r.ResponseWriter.Write(data)
	r.bytes += int64(n)

	return n, err //nolint:wrapcheck // it stands for the writer below
}

// FlushError is for http.ResponseController.
func (r *recorder) FlushError() error {
	r.extend()

	return r.control.Flush() //nolint:wrapcheck // it stands for the writer below
}

// Unwrap is for http.ResponseController.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// observed gives each request an id, a span, a line in the log without content, and a place in the metrics; a panic
// becomes an answer.
func (d *rest) observed(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		known := &call{requestID: requestID(r.Header.Get(requestIDHeader)), route: "unmatched"}
		recorded := &recorder{ResponseWriter: w, control: http.NewResponseController(w), patience: d.cfg.WriteTimeout}

		ctx, _ := d.spanOf(withCall(r.Context(), known), propagation.HeaderCarrier(r.Header))

		w.Header().Set(requestIDHeader, known.requestID)
		r = r.WithContext(ctx)

		defer d.finish(recorded, r, known, began)

		next.ServeHTTP(recorded, r)
	})
}

// finish is deferred, so that it sees panics.
func (d *rest) finish(w *recorder, r *http.Request, known *call, began time.Time) {
	cause := recover()
	aborted := cause == any(http.ErrAbortHandler)

	if cause != nil && !aborted {
		err := d.outward(r.Context(), panicked(cause))
		if w.status == 0 {
			writeError(w, r, err)
		}
	}

	took := time.Since(began)

	if w.Header().Get("Content-Length") != "" { // all is written: the client need not wait for what follows
		_ = w.control.Flush()
	}

	endREST(trace.SpanFromContext(r.Context()), known, r.Method, w.status)
	d.metrics.request(r.Context(), requestKey{"rest", known.route, httpCode(w.status)}, took)
	d.log.LogAttrs(r.Context(), slog.LevelInfo, "request", append(known.attrs(),
		slog.String("method", r.Method), slog.String("path", r.URL.Path), slog.Int("status", w.status),
		slog.Int64("bytes", w.bytes), slog.Duration("took", took))...)

	if aborted {
		panic(cause)
	}
}

// attrs are what a log line says about the request.
func (c *call) attrs() []slog.Attr {
	attrs := make([]slog.Attr, 0, 8)
	attrs = append(attrs, slog.String("request_id", c.requestID))

	if c.principal != nil {
		attrs = append(attrs, slog.String("tenant", c.principal.Tenant), slog.String("user", c.principal.User))
	}

	return attrs
}

// requestID is the caller's id if it is sane, else a fresh one.
func requestID(given string) string {
	if given == "" || len(given) > 128 {
		return newID("r")
	}

	for _, c := range []byte(given) {
		if !isIDByte(c) {
			return newID("r")
		}
	}

	return given
}

func isIDByte(c byte) bool {
	switch {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		return true
	case c == '-', c == '_', c == '.', c == ':', c == '/', c == '+', c == '=':
		return true
	default:
		return false
	}
}
