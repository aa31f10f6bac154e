package app

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/stats"
	"google.golang.org/protobuf/proto"

	rolloutv1 "github.com/serinhq/serin/gen/serin/rollout/v1"
	"github.com/serinhq/serin/internal/fault"
)

// leaderPatience is how long a call looks for a controller that leads: longer than it takes another one to take over.
const leaderPatience = 25 * time.Second

// reads are the methods that change nothing: they may be called twice.
var reads = []string{
	rolloutv1.RolloutService_ListRollouts_FullMethodName, rolloutv1.RolloutService_GetRollout_FullMethodName,
	rolloutv1.RolloutService_ListHistory_FullMethodName, rolloutv1.RolloutService_GetRevision_FullMethodName,
}

// call makes one unary call at the door.
func (c *clusterClient) call(ctx context.Context, method string, in, out proto.Message) error {
	ctx, cancel := context.WithTimeout(ctx, unaryTimeout)
	defer cancel()

	return c.through(ctx, slices.Contains(reads, method), func(ctx context.Context, door *openDoor) error {
		return door.connection.Invoke(ctx, method, in, out)
	})
}

// through does something at the door of who leads, and again at the next one's if the first is gone: what may have
// arrived only if it changes nothing.
func (c *clusterClient) through(ctx context.Context, again bool, do func(context.Context, *openDoor) error) error {
	pace := newRetry(nil)
	deadline := time.Now().Add(leaderPatience)

	for {
		err := c.once(ctx, again, do)
		if !isLost(err) || time.Now().After(deadline) {
			return inWords(ctx, err)
		}

		if ended := pace.wait(ctx, err); ended != nil {
			return inWords(ctx, err)
		}
	}
}

// once tries once. An error that [isLost] may be tried again.
func (c *clusterClient) once(ctx context.Context, again bool, do func(context.Context, *openDoor) error) error {
	door, err := c.opened(ctx)
	if err != nil {
		return err
	}

	sent := &atomic.Bool{}
	err = do(context.WithValue(ctx, sentKey{}, sent), door)

	if !isLost(err) {
		return err
	}

	c.drop(door)

	if sent.Load() && !again && fault.From(err).Reason == "" {
		return fault.New(codes.Aborted, "OUTCOME_UNKNOWN",
			"the controller went away before it answered (%w): `serin canary status` says whether it was done", err)
	}

	return err
}

// isLost reports whether who leads has to be looked for anew: nobody answered, or one who is about to leave.
func isLost(err error) bool {
	if err == nil {
		return false
	}

	found := fault.From(err)

	return found.Code == codes.Unavailable && slices.Contains([]string{"", "STARTING", "DRAINING", doorGone}, found.Reason)
}

// inWords makes a fault of an error, and what the caller did the reason if it gave up.
func inWords(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(context.Cause(ctx), context.Canceled):
		return context.Canceled
	default:
		return fault.From(err)
	}
}

type sentKey struct{}

// sentHandler notes in a call's context that it has gone out.
type sentHandler struct{}

// TagRPC changes nothing.
func (sentHandler) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context { return ctx }

// HandleRPC sees the headers leave.
func (sentHandler) HandleRPC(ctx context.Context, event stats.RPCStats) {
	if _, out := event.(*stats.OutHeader); !out {
		return
	}

	if sent, ok := ctx.Value(sentKey{}).(*atomic.Bool); ok {
		sent.Store(true)
	}
}

// TagConn changes nothing.
func (sentHandler) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }

// HandleConn is of no interest.
func (sentHandler) HandleConn(context.Context, stats.ConnStats) {}
