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
	redis    metric.Int64Counter

	// attributes of what was counted before: making a set costs more than counting.
	attributes sync.Map
}

// requestKey is what requests are counted by. Routes are templates, so there are few.
type requestKey struct {
	door, route, code string
}

func newMetrics(meter metric.Meter) (*metrics, error) {
	var (
		m    metrics
		errs [5]error
	)

	m.requests, errs[0] = meter.Int64Counter("serin_gateway_requests_total",
		metric.WithDescription("Requests from outside, by door (rest or grpc), route and status code."))
	m.duration, errs[1] = meter.Float64Histogram("serin_gateway_request_duration_seconds",
		metric.WithDescription("Time from a request's header to its answer's end, streams included."))
	m.streams, errs[2] = meter.Int64UpDownCounter("serin_gateway_sse_streams",
		metric.WithDescription("Open streams of server-sent events."))
	m.turns, errs[3] = meter.Float64Histogram("serin_turn_duration_seconds", // agents record the turns that they end
		metric.WithDescription("Time from a user's message to the end of its turn."), metric.WithUnit("s"))
	m.redis, errs[4] = meter.Int64Counter("serin_gateway_redis_calls_total",
		metric.WithDescription("Uses of Redis, by use (limits or keys), outcome (ok, timeout, error, or skipped while it is away) "+
			"and what happens if it is not ok (open or closed)."))

	return &m, errors.Join(errs[:]...)
}

func (m *metrics) request(ctx context.Context, key requestKey, took time.Duration) {
	options := m.options(key)
	m.requests.Add(ctx, 1, options)
	m.duration.Record(ctx, took.Seconds(), options)
}

// redisKey is what uses of Redis are counted by.
type redisKey struct {
	use, outcome string
	onLoss       OnLoss
}

func (m *metrics) redisCall(ctx context.Context, key redisKey) {
	m.redis.Add(ctx, 1, m.cached(key, func() attribute.Set {
		return attribute.NewSet(
			attribute.String("use", key.use), attribute.String("outcome", key.outcome), attribute.String("on_loss", string(key.onLoss)),
		)
	}))
}

// turnFailed records a turn that the gateway ended. No revision executed it to the end.
func (m *metrics) turnFailed(ctx context.Context, agent string, took time.Duration) {
	m.turns.Record(ctx, max(took.Seconds(), 0), metric.WithAttributes(
		attribute.String("agent", agent), attribute.String("revision", ""), attribute.String("outcome", "failed"),
	))
}

func (m *metrics) options(key requestKey) metric.MeasurementOption {
	return m.cached(key, func() attribute.Set {
		return attribute.NewSet(
			attribute.String("door", key.door), attribute.String("route", key.route), attribute.String("code", key.code),
		)
	})
}

func (m *metrics) cached(key any, made func() attribute.Set) metric.MeasurementOption {
	if known, ok := m.attributes.Load(key); ok {
		return known.(metric.MeasurementOption) //nolint:forcetypeassert // nothing else is stored
	}

	options := metric.WithAttributeSet(made())
	m.attributes.Store(key, options)

	return options
}

func httpCode(status int) string { return strconv.Itoa(status) }
