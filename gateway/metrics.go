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
		errs [3]error
	)

	m.requests, errs[0] = meter.Int64Counter("serin_gateway_requests_total",
		metric.WithDescription("Requests from outside, by door (rest or grpc), route and status code."))
	m.duration, errs[1] = meter.Float64Histogram("serin_gateway_request_duration_seconds",
		metric.WithDescription("Time from a request's header to its answer's end, streams included."))
	m.streams, errs[2] = meter.Int64UpDownCounter("serin_gateway_sse_streams",
		metric.WithDescription("Open streams of server-sent events."))

	return &m, errors.Join(errs[:]...)
}

func (m *metrics) request(ctx context.Context, key requestKey, took time.Duration) {
	options := m.options(key)
	m.requests.Add(ctx, 1, options)
	m.duration.Record(ctx, took.Seconds(), options)
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
