package agent

import (
	"context"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	handoffv1 "github.com/serinhq/serin/gen/serin/handoff/v1"
	"github.com/serinhq/serin/internal/fault"
)

// unheard is a store that does what it is asked, and whose answers do not arrive while it is away.
type unheard struct {
	contextv1.ContextServiceClient

	away *atomic.Bool
}

func (u unheard) lose(err error) error {
	if u.away.Load() {
		return fault.New(codes.Unavailable, "AWAY", "the answer was lost")
	}

	return err
}

func (u unheard) Append(
	ctx context.Context, request *contextv1.AppendRequest, options ...grpc.CallOption,
) (*contextv1.AppendResponse, error) {
	answer, err := u.ContextServiceClient.Append(ctx, request, options...)

	return answer, u.lose(err)
}

func (u unheard) RenewLease(
	ctx context.Context, request *contextv1.RenewLeaseRequest, options ...grpc.CallOption,
) (*contextv1.RenewLeaseResponse, error) {
	answer, err := u.ContextServiceClient.RenewLease(ctx, request, options...)

	return answer, u.lose(err)
}

// TestALostLeaseIsNotTakenUpAgain: the process gave the turn up, and the store, which renewed the lease, does not know. What
// the process sent then may still arrive: it must not share its epoch, nor its request ids, with the next execution.
func TestALostLeaseIsNotTakenUpAgain(t *testing.T) {
	w := newWorld(t, says("Yes."))

	var away atomic.Bool

	w.start(spec("billing"), func(config *Config) { config.Context = unheard{config.Context, &away} })
	w.begin("billing", "Is it paid?")
	away.Store(true)

	finished, err := w.handoff("billing")
	if err != nil || finished.GetOutcome() != handoffv1.Finished_OUTCOME_SUPERSEDED {
		t.Fatalf("without a word from the store it ended with %v, %v", finished, err)
	}

	_, before, _ := w.store.snapshot()

	away.Store(false)

	if _, err := w.handoff("billing"); !fault.Is(err, "LEASE_HELD") {
		t.Errorf("asked again at once it says %v", err)
	}

	turn := w.drive()
	if turn.GetStatus() != contextv1.TurnStatus_TURN_STATUS_COMPLETED || turn.GetEpoch() == before.GetEpoch() {
		t.Errorf("turn %v, and its epoch was %d before\n%v", turn, before.GetEpoch(), w.log())
	}

	w.verify()
}
