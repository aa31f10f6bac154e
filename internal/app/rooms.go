package app

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	handoffv1 "github.com/serinhq/serin/gen/serin/handoff/v1"
	toolsv1 "github.com/serinhq/serin/gen/serin/tools/v1"
	"github.com/serinhq/serin/internal/agentspec"
	"github.com/serinhq/serin/internal/fault"
	"github.com/serinhq/serin/internal/health"
	"github.com/serinhq/serin/internal/rpc"
	"github.com/serinhq/serin/internal/telemetry"
	"github.com/serinhq/serin/mesh/identity"
)

// workload is one supervised process: what all rooms need.
type workload struct {
	config    *workloadConfig
	env       *Env
	telemetry *telemetry.Telemetry
	// traffic is nil where a proxy sees it.
	traffic     *rpc.Traffic
	credentials rpc.Credentials

	// What a process has that gets its certificates itself; nil elsewhere.
	identity   *identity.Istiod
	door       *healthDoor
	closing    []func()
	background sync.WaitGroup

	mu    sync.Mutex
	conns map[string]*grpc.ClientConn
}

func newWorkload(env *Env, config *workloadConfig) (*workload, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(cmp.Or(config.LogLevel, "info"))); err != nil {
		return nil, usageErrorf("--log-level %q: want debug, info, warn or error", config.LogLevel)
	}

	telemetry, err := telemetry.New(telemetry.Options{
		Service: config.service(), Version: version(), Resource: config.origin(),
		Writer: env.Stderr, Level: level, Getenv: env.get,
	})
	if err != nil {
		return nil, fmt.Errorf("start telemetry: %w", err)
	}

	made := &workload{config: config, env: env, telemetry: telemetry, conns: map[string]*grpc.ClientConn{}}

	return made, made.observeTraffic()
}

func (w *workload) close() error {
	w.mu.Lock()
	defer w.mu.Unlock()

	for _, conn := range w.conns {
		_ = conn.Close() // it only says that it was closed before
	}

	var err error
	if w.door != nil {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()

		err = w.door.close(ctx)
	}

	for _, stop := range w.closing {
		stop()
	}

	w.background.Wait()

	if lost := w.telemetry.Shutdown(context.Background()); lost != nil {
		w.telemetry.Logger.Warn("the last of the telemetry was lost", "error", lost)
	}

	return err
}

func (w *workload) room(ctx context.Context) (*room, error) {
	switch w.config.Room {
	case "context":
		return w.contextRoom(ctx)
	case "tools":
		return w.toolsRoom()
	case "ambassador":
		return w.ambassadorRoom()
	case "retriever":
		return w.retrieverRoom(ctx)
	case "gateway":
		return w.gatewayRoom(ctx)
	case "agent":
		return w.agentRoom()
	case "mesh":
		return w.meshRoom(ctx)
	case "controller":
		return w.controllerRoom(ctx)
	default:
		return nil, usageErrorf("room %q: want context, tools, ambassador, retriever, gateway, mesh, controller or agent", w.config.Room)
	}
}

// observeTraffic records calls as Istio's proxies would, where there are none.
func (w *workload) observeTraffic() (err error) {
	if plane := w.config.plane(); plane == planeSidecar || plane == planeNone {
		return nil
	}

	revision := ""
	if w.config.Agent != nil {
		revision = agentspec.Short(w.config.Agent.Revision)
	}

	w.traffic, err = rpc.NewTraffic(w.telemetry.Meter, w.config.identity(w.config.Name), revision)

	return err
}

// dial returns the one connection to another workload.
func (w *workload) dial(name string) (*grpc.ClientConn, error) {
	w.mu.Lock()
	defer w.mu.Unlock()

	if conn, ok := w.conns[name]; ok {
		return conn, nil
	}

	target, direct := w.config.Targets[name]

	switch {
	case direct:
	case w.config.plane() == planeSidecar:
		target = rpc.SidecarTarget(w.config.Namespace, name)
	default:
		target = rpc.Target(w.config.Namespace, name)
	}

	conn, err := rpc.Dial(target, w.config.identity(name), rpc.ClientConfig{
		Credentials: w.credentials, Telemetry: w.telemetry, Traffic: w.traffic,
		DialOptions: crashPoints(w.env.Getenv, w.config.Name),
	})
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", name, err)
	}

	w.conns[name] = conn

	return conn, nil
}

func (w *workload) contextClient() (contextv1.ContextServiceClient, error) {
	conn, err := w.dial(rpc.Context)
	if err != nil {
		return nil, err
	}

	return contextv1.NewContextServiceClient(conn), nil
}

func (w *workload) toolsClient() (toolsv1.ToolExecuteServiceClient, error) {
	conn, err := w.dial(rpc.Tools)
	if err != nil {
		return nil, err
	}

	return toolsv1.NewToolExecuteServiceClient(conn), nil
}

func (w *workload) handoffClient(agent string) (handoffv1.HandoffServiceClient, error) {
	conn, err := w.dial(agent)
	if err != nil {
		return nil, err
	}

	return handoffv1.NewHandoffServiceClient(conn), nil
}

// reachable checks another workload's gRPC health.
func (w *workload) reachable(name string) health.Check {
	return health.Check{Name: name, TTL: healthTTL, Grace: dependencyGrace, Func: func(ctx context.Context) error {
		conn, err := w.dial(name)
		if err != nil {
			return err
		}

		answer, err := grpc_health_v1.NewHealthClient(conn).Check(ctx, &grpc_health_v1.HealthCheckRequest{})
		if err != nil {
			return err
		}

		if answer.GetStatus() != grpc_health_v1.HealthCheckResponse_SERVING {
			return fault.New(codes.Unavailable, "NOT_SERVING", "%s says %s", name, answer.GetStatus())
		}

		return nil
	}}
}

// llmURL is the ambassador's: its own in the pod, or that of this machine.
func (w *workload) llmURL() string {
	target := w.config.Targets[rpc.Ambassador]
	if w.config.plane() == planeEmbedded {
		return "https://" + target + "/v1"
	}

	base, _, _ := strings.Cut(target, "/v1") // LLM_ENDPOINT may name the whole path

	return strings.TrimSuffix(base, "/") + "/v1"
}

// llmClient speaks mTLS to the ambassador, or plain HTTP within the pod.
func (w *workload) llmClient() *http.Client {
	transport := &http.Transport{
		DialContext:         (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
		TLSHandshakeTimeout: 5 * time.Second,
		// With HTTP/2 a stream that is closed after its last event does not cost its connection, and the next a handshake.
		ForceAttemptHTTP2:   true,
		MaxIdleConnsPerHost: 256,
		IdleConnTimeout:     90 * time.Second,
	}

	if w.config.plane() == planeEmbedded {
		transport.TLSClientConfig = w.credentials.ClientTLS(w.config.identity(rpc.Ambassador))
	}

	return &http.Client{Transport: transport}
}
