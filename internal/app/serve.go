package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"

	"github.com/serinhq/serin/internal/drain"
	"github.com/serinhq/serin/internal/health"
	"github.com/serinhq/serin/internal/rpc"
	"github.com/serinhq/serin/internal/supervise"
)

// drainLimit is the default of what bounds how long a workload finishes what it has begun; it lies below the supervisor's
// grace, so that what could not be finished is given back properly.
const drainLimit = 8 * time.Second

func newServeCommand(env *Env) *cobra.Command {
	var path string

	command := &cobra.Command{
		Use:    "serve --config FILE",
		Short:  "Run one workload; serin up starts these",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			config, err := readWorkloadConfig(path)
			if err != nil {
				return forSupervisor(err)
			}

			ctx, cancel := supervise.WithLifeline(command.Context(), env.Getenv)
			defer cancel()

			err = serveWorkload(ctx, env, config)
			if config.plane() != planeEmbedded {
				return err // a pod's exit codes are read by people
			}

			return forSupervisor(err)
		},
	}
	command.Flags().StringVar(&path, "config", "", "the workload's configuration, a JSON file")

	return command
}

// room is one service of the house, ready to be served.
type room struct {
	register func(grpc.ServiceRegistrar)
	policy   rpc.Policy
	checks   []health.Check
	// tasks run until their context ends, which is after the drain.
	tasks []drain.Task
	// serves are further servers beside gRPC on "grpc" and health on "http": each blocks until shut down.
	serves []serving
	// pages are added to the health and metrics listener; the gateway's REST lives here.
	pages http.Handler
	// guard decides who may read metrics, where more than this machine can.
	guard func(http.Handler) http.Handler
	// drain stops taking work and finishes or gives back what there is.
	drain func(context.Context) error
	close func() error
}

// serving is a server with its way to stop gracefully.
type serving struct {
	name  string
	serve func() error
	stop  func(context.Context) error
}

func serveWorkload(ctx context.Context, env *Env, config *workloadConfig) error {
	if err := config.settle(env.get); err != nil {
		return err
	}

	work, err := newWorkload(env, config)
	if err != nil {
		return err
	}

	if joined, err := work.join(ctx); err != nil || !joined {
		return errors.Join(err, work.close())
	}

	room, err := work.room(ctx)
	if err != nil {
		return errors.Join(err, work.close())
	}

	err = work.run(ctx, room)
	if room.close != nil {
		err = errors.Join(err, room.close())
	}

	return errors.Join(err, work.close())
}

// run serves the room until the context ends, and then drains it: no new work, finish, stop servers, stop tasks.
func (w *workload) run(ctx context.Context, room *room) error {
	server, err := w.grpcServer(room)
	if err != nil {
		return err
	}

	checks, err := w.checks(room, server)
	if err != nil {
		return err
	}

	checker := health.New(checks...)

	servings, err := w.servings(room, server, checker)
	if err != nil {
		return err
	}

	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()

	tasks := append([]drain.Task{}, room.tasks...)
	for _, serving := range servings {
		tasks = append(tasks, drain.Task{Name: serving.name, Run: func(context.Context) error { return serving.serve() }})
	}

	tasks = append(tasks, drain.Task{Name: "drain", Run: func(running context.Context) error {
		select {
		case <-ctx.Done():
		case <-running.Done(): // another task failed
		}

		checker.MarkDraining()
		w.finish(running, room, servings)
		stop()

		return nil
	}})

	checker.MarkStarted()
	w.telemetry.Logger.InfoContext(ctx, "serving", "room", w.config.Room, "name", w.config.Name)

	err = drain.Run(running, tasks...)
	if errors.Is(err, context.Canceled) {
		return nil
	}

	return err
}

func (w *workload) finish(running context.Context, room *room, servings []serving) {
	limit := cmp.Or(time.Duration(w.config.Drain), drainLimit)

	ctx, cancel := context.WithTimeout(context.WithoutCancel(running), limit)
	defer cancel()

	if room.drain != nil {
		if err := room.drain(ctx); err != nil {
			w.telemetry.Logger.WarnContext(ctx, "drain", "error", err)
		}
	}

	for _, serving := range servings {
		if err := serving.stop(ctx); err != nil {
			w.telemetry.Logger.WarnContext(ctx, "stop", "server", serving.name, "error", err)
		}
	}
}

// grpcServer makes the room's gRPC server; nil if it has none.
func (w *workload) grpcServer(room *room) (*rpc.Server, error) {
	if room.register == nil {
		return nil, nil //nolint:nilnil // not every room has one
	}

	server, err := rpc.NewServer(rpc.ServerConfig{
		Credentials: w.credentials, Namespace: w.config.Namespace, Policy: room.policy, Telemetry: w.telemetry,
		Traffic: w.traffic,
		// The control plane can't wait for itself, and beside a sidecar there is nothing to wait for.
		Mesh: w.config.Room != "mesh" && w.config.plane() != planeSidecar,
	})
	if err != nil {
		return nil, fmt.Errorf("make gRPC server: %w", err)
	}

	room.register(server)

	return server, nil
}

func (w *workload) servings(room *room, server *rpc.Server, checker *health.Checker) ([]serving, error) {
	servings := append([]serving{}, room.serves...)

	if server != nil {
		listener, err := w.config.listener("grpc")
		if err != nil {
			return nil, err
		}

		servings = append(servings, grpcServing("grpc", server, listener))
	}

	if w.door != nil {
		return append(servings, w.door.lead(w.pages(room, checker))), nil
	}

	listener, err := w.config.listener("http")
	if err != nil {
		return nil, err
	}

	return append(servings, httpServing("http", w.pages(room, checker), listener)), nil
}

// pages are health and metrics, and whatever else the room shows over HTTP.
func (w *workload) pages(room *room, checker *health.Checker) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/health/", checker.Handler())
	metrics := w.telemetry.Handler()
	if room.guard != nil {
		metrics = room.guard(metrics)
	}

	mux.Handle("/metrics", metrics)

	if room.pages != nil {
		mux.Handle("/", room.pages)
	}

	return mux
}

// grpcServer is one of ours, or one for the outside.
type grpcServer interface {
	Serve(listener net.Listener) error
	GracefulStop()
	Stop()
}

func grpcServing(name string, server grpcServer, listener net.Listener) serving {
	return serving{
		name:  name,
		serve: func() error { return server.Serve(listener) },
		stop: func(ctx context.Context) error {
			stopped := context.AfterFunc(ctx, server.Stop)
			defer stopped()

			server.GracefulStop()

			return ctx.Err()
		},
	}
}

func httpServing(name string, handler http.Handler, listener net.Listener) serving {
	return serverServing(name, &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
	}, listener)
}

func serverServing(name string, server *http.Server, listener net.Listener) serving {
	return serving{
		name: name,
		serve: func() error {
			if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
				return err //nolint:wrapcheck // the task's name is added
			}

			return nil
		},
		stop: func(ctx context.Context) error {
			if err := server.Shutdown(ctx); err != nil {
				return errors.Join(err, server.Close())
			}

			return nil
		},
	}
}
