package rpc

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
)

// idempotentPrefix is where all unary methods may be tried again.
const idempotentPrefix = "/serin.context.v1.ContextService/"

// sender sends calls with their routes, and again where that is invisible to the caller. In the mesh it replaces
// grpc-go's own waiting, which stays with the cluster that was picked first even if the routes have changed since, and
// its retries, which the mesh's configuration replaces.
type sender struct {
	mesh   bool
	budget *budget // for the mesh; elsewhere grpc-go keeps its own
}

func (s sender) begin(ctx context.Context, options []grpc.CallOption) *resending {
	route, routed := routeOf(ctx)

	call := &resending{mesh: s.mesh, waits: s.waits(options), routed: routed, route: route}
	if s.mesh {
		call.budget, call.attempts = s.budget, newAttempts(s.budget)
	}

	return call
}

// waits reports whether the caller waits for a server: in the mesh by default, and unless it says otherwise.
func (s sender) waits(options []grpc.CallOption) bool {
	waits := true

	for _, option := range options {
		if option, ok := option.(grpc.FailFastCallOption); ok {
			waits = !option.FailFast
		}
	}

	return waits
}

// unary sends a call until there is an answer for its caller.
func (s sender) unary(
	ctx context.Context, method string, request, reply any, connection *grpc.ClientConn,
	invoke grpc.UnaryInvoker, options ...grpc.CallOption,
) error {
	call := s.begin(ctx, options)
	if !call.mesh && !call.routed {
		return invoke(ctx, method, request, reply, connection, options...)
	}

	call.idempotent = strings.HasPrefix(method, idempotentPrefix)

	for {
		var answered peer.Peer

		err := invoke(call.context(ctx), method, request, reply, connection, s.options(call, options, grpc.Peer(&answered))...)
		if err == nil {
			return nil
		}

		if err := call.pause(ctx, err, answered.Addr != nil); err != nil {
			return err
		}
	}
}

// stream opens a stream. If it carries one request and has a route, a refusal is not the end of it.
func (s sender) stream(
	ctx context.Context, desc *grpc.StreamDesc, connection *grpc.ClientConn, method string,
	streamer grpc.Streamer, options ...grpc.CallOption,
) (grpc.ClientStream, error) {
	call := s.begin(ctx, options)
	open := func() (grpc.ClientStream, error) {
		return call.open(ctx, func(ctx context.Context) (grpc.ClientStream, error) {
			return streamer(ctx, desc, connection, method, s.options(call, options)...)
		})
	}

	stream, err := open()
	if err != nil || !call.routed || desc.ClientStreams {
		return stream, err
	}

	return &reroutedStream{ClientStream: stream, ctx: ctx, call: call, open: open}, nil
}

// options make each attempt in the mesh fail instead of wait, so that the next one sees the routes as they are then. And
// grpc-go must not hold on to a request, so that the mesh's routes can't have it sent again, where that is done here or
// the budget has nothing left for it.
func (s sender) options(call *resending, options []grpc.CallOption, more ...grpc.CallOption) []grpc.CallOption {
	if !s.mesh {
		return append(slices.Clip(options), more...)
	}

	more = append(more, grpc.WaitForReady(false))
	if call.idempotent || s.budget.isEmpty() {
		more = append(more, grpc.MaxRetryRPCBufferSize(0))
	}

	return append(slices.Clip(options), more...)
}

// context is what the next attempt is made with.
func (r *resending) context(ctx context.Context) context.Context {
	if r.mesh {
		ctx = context.WithValue(ctx, attemptsKey{}, r.attempts)
	}

	if !r.routed {
		return ctx
	}

	return r.route.outgoing(ctx)
}

// open opens a stream until that works or its error is the answer. No part of a stream that does not open was sent.
func (r *resending) open(
	ctx context.Context, try func(context.Context) (grpc.ClientStream, error),
) (grpc.ClientStream, error) {
	for {
		stream, err := try(r.context(ctx))
		if err == nil {
			return stream, nil
		}

		if err := r.pause(ctx, err, false); err != nil {
			return nil, err
		}
	}
}

// pause waits until the call is sent again; its error is the call's answer.
func (r *resending) pause(ctx context.Context, err error, sent bool) error {
	wait, again := r.after(err, sent)
	if !again {
		return err
	}

	if wait > 0 {
		wait = wait/2 + rand.N(wait) //nolint:gosec // jitter needs no secret
	}

	timer := time.NewTimer(wait)
	defer timer.Stop()

	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ended(ctx, err)
	}
}

// ended is the answer to a call whose time was over before it was sent again.
func ended(ctx context.Context, last error) error {
	code := codes.Canceled
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		code = codes.DeadlineExceeded
	}

	return status.Errorf(code, "%s while the call was to be sent again; before: %s", ctx.Err(), status.Convert(last).Message())
}
