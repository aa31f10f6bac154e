package agent

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	"github.com/serinhq/serin/internal/fault"
)

// Why an executing segment stops early.
var (
	errSuperseded = errors.New("another process executes the turn, or it has ended")
	errCancelled  = errors.New("the turn was cancelled on request")
	errLeaseLost  = errors.New("the lease ran out while the store could not be reached")
)

// firstRenewal is when a segment begins to listen for a cancel.
const firstRenewal = 100 * time.Millisecond

// lease keeps a turn's lease alive and hears what its holder must know.
type lease struct {
	store contextv1.ContextServiceClient
	ref   *contextv1.LeaseRef
	ttl   time.Duration
	// stop ends the work; lose ends even the attempts to write its results.
	stop, lose context.CancelCauseFunc
	// cancelled is set before stop is called with errCancelled.
	cancelled atomic.Pointer[cancellation]
}

// keep renews until ctx or the lease ends. The store holds an answer back for a third of the TTL, so that a cancel
// arrives at once.
func (l *lease) keep(ctx context.Context) {
	expires := time.Now().Add(l.ttl)

	pause(ctx, min(firstRenewal, l.ttl/3)) // most segments need no renewal at all

	for ctx.Err() == nil {
		asked := time.Now()
		answer, err := l.renew(ctx)

		switch {
		case err == nil:
			expires = asked.Add(l.ttl)
			l.hear(answer)
		case ctx.Err() != nil:
			return
		case !retryable(err):
			l.stop(errSuperseded)
			pause(ctx, l.ttl) // a last append may be under way, and its answer tells what became of it

			expires = asked
		}

		if time.Now().After(expires) {
			l.stop(errLeaseLost)
			l.lose(errLeaseLost)

			return
		}

		l.pace(ctx, asked, err)
	}
}

func (l *lease) renew(ctx context.Context) (*contextv1.RenewLeaseResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, l.ttl*2/3)
	defer cancel()

	request := &contextv1.RenewLeaseRequest{Lease: l.ref, Ttl: durationpb.New(l.ttl)}
	if l.cancelled.Load() == nil {
		request.Wait = durationpb.New(l.ttl / 3)
	}

	return l.store.RenewLease(ctx, request)
}

func (l *lease) hear(answer *contextv1.RenewLeaseResponse) {
	if !answer.GetCancelRequested() {
		return
	}

	if l.cancelled.CompareAndSwap(nil, &cancellation{by: answer.GetCancelBy(), reason: answer.GetCancelReason()}) {
		l.stop(errCancelled)
	}
}

// pace keeps renewals from spinning where the store answers at once.
func (l *lease) pace(ctx context.Context, asked time.Time, err error) {
	wait := l.ttl/3 - time.Since(asked)
	if err != nil {
		wait = l.ttl / 20
	}

	pause(ctx, wait)
}

// retryable reports whether asking again may help: the store, or the way to it, is not there right now.
func retryable(err error) bool {
	code := fault.CodeOf(err)

	return code == codes.Unavailable || code == codes.DeadlineExceeded || code == codes.Canceled
}

// pause waits, or returns at once when ctx ends.
func pause(ctx context.Context, wait time.Duration) {
	timer := time.NewTimer(max(0, wait))
	defer timer.Stop()

	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
