package gateway

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// metrics are what the gateway counts.
type metrics struct {
	requests metric.Int64Counter
	duration metric.Float64Histogram
	streams  metric.Int64UpDownCounter
	turns    metric.Float64Histogram

	// attributes of requests seen before: making a set costs more than counting.
	attributes sync.Map
}

// requestKey is what requests are counted by. Routes are templates, so there are few.
type requestKey struct {
	door, route, code string
}

func newMetrics(meter metric.Meter) (*metrics, error) {
	var (
		m    metrics
		errs [4]error
	)

	m.requests, errs[0] = meter.Int64Counter("serin_gateway_requests_total",
		metric.WithDescription("Requests from outside, by door (rest or grpc), route and status code."))
	m.duration, errs[1] = meter.Float64Histogram("serin_gateway_request_duration_seconds",
		metric.WithDescription("Time from a request's header to its answer's end, streams included."))
	m.streams, errs[2] = meter.Int64UpDownCounter("serin_gateway_sse_streams",
		metric.WithDescription("Open streams of server-sent events."))
	m.turns, errs[3] = meter.Float64Histogram("serin_turn_duration_seconds", // agents record the turns that they end
		metric.WithDescription("Time from a user's message to the end of its turn."), metric.WithUnit("s"))

	return &m, errors.Join(errs[:]...)
}

func (m *metrics) request(ctx context.Context, key requestKey, took time.Duration) {
	options := m.options(key)
	m.requests.Add(ctx, 1, options)
	m.duration.Record(ctx, took.Seconds(), options)
}

// turnFailed records a turn that the gateway ended. No revision executed it to the end.
func (m *metrics) turnFailed(ctx context.Context, agent string, took time.Duration) {
	m.turns.Record(ctx, max(took.Seconds(), 0), metric.WithAttributes(
		attribute.String("agent", agent), attribute.String("revision", ""), attribute.String("outcome", "failed"),
	))
}

func (m *metrics) options(key requestKey) metric.MeasurementOption {
	if known, ok := m.attributes.Load(key); ok {
		return known.(metric.MeasurementOption) //nolint:forcetypeassert // nothing else is stored
	}

	options := metric.WithAttributeSet(attribute.NewSet(
		attribute.String("door", key.door), attribute.String("route", key.route), attribute.String("code", key.code),
	))
	m.attributes.Store(key, options)

	return options
}

func httpCode(status int) string { return strconv.Itoa(status) }
