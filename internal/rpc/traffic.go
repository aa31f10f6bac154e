package rpc

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"
)

// Words of Istio's standard metrics (https://istio.io/latest/docs/reference/config/metrics).
const (
	unknownLabel     = "unknown"
	reporterSource   = "source"
	reporterTarget   = "destination"
	flagsNone        = "-"
	flagsUnreachable = "UF" // what Envoy says if it could not connect
)

// millisecondBuckets are Istio's.
func millisecondBuckets() []float64 {
	return []float64{
		0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 30000, 60000, 300000, 600000, 1800000, 3600000,
	}
}

// Traffic records a process's calls as Istio's proxies would, which gRPC does not: istio_requests_total and
// istio_request_duration_milliseconds with Istio's standard labels, so that its dashboards show a mesh without proxies.
// A revision is a version; whoever is called tells it in the header [HeaderRevision]. What the caller's version is, is known
// to the caller alone: see the series with reporter="source".
type Traffic struct {
	own      Identity
	revision string

	requests metric.Int64Counter
	duration metric.Float64Histogram

	// sets are label sets seen before: making one costs more than counting.
	sets sync.Map
}

// NewTraffic makes the recorder of a process, with the short name of its revision if it runs one.
func NewTraffic(meter metric.Meter, own Identity, revision string) (*Traffic, error) {
	t := &Traffic{own: own, revision: revision}

	var errs [2]error

	t.requests, errs[0] = meter.Int64Counter("istio_requests_total",
		metric.WithDescription("Requests of the mesh, with Istio's standard labels."))
	t.duration, errs[1] = meter.Float64Histogram("istio_request_duration_milliseconds", metric.WithUnit("ms"),
		metric.WithDescription("Time from a request's begin to its end, with Istio's standard labels."),
		metric.WithExplicitBucketBoundaries(millisecondBuckets()...))

	if err := errors.Join(errs[:]...); err != nil {
		return nil, fmt.Errorf("making metrics of traffic: %w", err)
	}

	return t, nil
}

// workload is one end of a call.
type workload struct {
	id       Identity
	revision string
}

// trafficKey is what calls are counted by.
type trafficKey struct {
	reporter            string
	source, destination workload
	code                codes.Code
	reached             bool
}

func (t *Traffic) record(ctx context.Context, key trafficKey, took time.Duration) {
	options, known := t.sets.Load(key)
	if !known {
		options = metric.WithAttributeSet(key.labels())
		t.sets.Store(key, options)
	}

	labels := options.(metric.MeasurementOption) //nolint:forcetypeassert // nothing else is stored
	t.requests.Add(ctx, 1, labels)
	t.duration.Record(ctx, float64(took)/float64(time.Millisecond), labels)
}

// labels are those of Istio 1.31, but for what tells clusters of a mesh apart.
func (k *trafficKey) labels() attribute.Set {
	response, flags, security := "200", flagsNone, unknownLabel

	if !k.reached {
		response, flags = "503", flagsUnreachable
	}

	if k.reporter == reporterTarget {
		security = "mutual_tls"
	}

	labels := slices.Concat(k.source.labels("source"), k.destination.labels("destination"), []attribute.KeyValue{
		attribute.String("reporter", k.reporter),
		attribute.String("request_protocol", "grpc"),
		attribute.String("response_code", response),
		attribute.String("grpc_response_status", strconv.Itoa(int(k.code))),
		attribute.String("response_flags", flags),
		attribute.String("connection_security_policy", security),
		attribute.String("destination_service", Host(k.destination.id.Namespace, k.destination.id.Name)),
		attribute.String("destination_service_name", k.destination.id.Name),
		attribute.String("destination_service_namespace", k.destination.id.Namespace),
	})

	return attribute.NewSet(labels...)
}

func (w *workload) labels(end string) []attribute.KeyValue {
	name, version := w.id.Name, w.revision
	if name == "" {
		return unknownEnd(end)
	}

	deployment := name
	if version == "" {
		version = unknownLabel
	} else {
		deployment += "-" + version
	}

	return []attribute.KeyValue{
		attribute.String(end+"_workload", deployment),
		attribute.String(end+"_workload_namespace", w.id.Namespace),
		attribute.String(end+"_principal", w.id.String()),
		attribute.String(end+"_app", name),
		attribute.String(end+"_version", version),
		attribute.String(end+"_canonical_service", name),
		attribute.String(end+"_canonical_revision", version),
	}
}

func unknownEnd(end string) []attribute.KeyValue {
	labels := make([]attribute.KeyValue, 0, 7)
	for _, name := range []string{"workload", "workload_namespace", "principal", "app", "version", "canonical_service", "canonical_revision"} {
		labels = append(labels, attribute.String(end+"_"+name, unknownLabel))
	}

	return labels
}

type trafficCallKey struct{}

// trafficCall is one attempt of a call, as a client sees it.
type trafficCall struct {
	mu       sync.Mutex
	left     bool
	revision string
}

// clientTraffic sees what a process calls at one peer.
type clientTraffic struct {
	noConnections

	traffic *Traffic
	peer    Identity
}

var _ stats.Handler = clientTraffic{}

func (clientTraffic) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context {
	return context.WithValue(ctx, trafficCallKey{}, &trafficCall{})
}

func (c clientTraffic) HandleRPC(ctx context.Context, event stats.RPCStats) {
	call, ok := ctx.Value(trafficCallKey{}).(*trafficCall)
	if !ok {
		return
	}

	call.mu.Lock()
	defer call.mu.Unlock()

	switch event := event.(type) {
	case *stats.OutHeader:
		call.left = true
	case *stats.InHeader:
		if values := event.Header.Get(HeaderRevision); len(values) > 0 {
			call.revision = values[0]
		}
	case *stats.End:
		c.traffic.record(ctx, trafficKey{
			reporter: reporterSource, code: status.Code(event.Error), reached: call.left,
			source: workload{c.traffic.own, c.traffic.revision}, destination: workload{c.peer, call.revision},
		}, event.EndTime.Sub(event.BeginTime))
	}
}

// serverTraffic sees what a process is called for.
type serverTraffic struct {
	noConnections

	traffic *Traffic
}

var _ stats.Handler = serverTraffic{}

func (serverTraffic) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context { return ctx }

func (s serverTraffic) HandleRPC(ctx context.Context, event stats.RPCStats) {
	end, ok := event.(*stats.End)
	if !ok {
		return
	}

	caller, _ := Peer(withVerifiedPeer(ctx))
	s.traffic.record(ctx, trafficKey{
		reporter: reporterTarget, code: status.Code(end.Error), reached: true,
		source: workload{id: caller}, destination: workload{s.traffic.own, s.traffic.revision},
	}, end.EndTime.Sub(end.BeginTime))
}

// noConnections looks at calls alone.
type noConnections struct{}

func (noConnections) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }

func (noConnections) HandleConn(context.Context, stats.ConnStats) {}
