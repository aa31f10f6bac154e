package storetest

import (
	"context"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	"github.com/serinhq/serin/internal/fault"
	"github.com/serinhq/serin/internal/rpc"
	"github.com/serinhq/serin/services/contextstore"
)

func renewalTests() map[string]func(*world) {
	return map[string]func(*world){
		"RenewExtends":        renewExtends,
		"RenewAnswersInTime":  renewAnswersInTime,
		"RenewTellsOfCancel":  renewTellsOfCancel,
		"RenewTellsAtOnce":    renewTellsAtOnce,
		"RenewTellsOfFence":   renewTellsOfFence,
		"RenewTellsOfTheEnd":  renewTellsOfTheEnd,
		"RenewSeesOtherStore": renewSeesOtherStore,
		"RenewEndsWithDrain":  renewEndsWithDrain,
		"RenewEndsWithCaller": renewEndsWithCaller,
	}
}

func (w *world) renew(lease *contextv1.LeaseRef, wait time.Duration) (*contextv1.RenewLeaseResponse, error) {
	return w.client.RenewLease(w.as(triage), &contextv1.RenewLeaseRequest{
		Lease: lease, Ttl: durationpb.New(5 * time.Minute), Wait: durationpb.New(wait),
	})
}

// renewal is the outcome of a renewal that waits.
type renewal struct {
	response *contextv1.RenewLeaseResponse
	err      error
}

// waitingRenewal renews with a long wait, and returns once the lease is extended: from then on it waits.
func (w *world) waitingRenewal(lease *contextv1.LeaseRef) <-chan renewal {
	w.Helper()

	done := make(chan renewal, 1)
	before := w.turn(lease.GetTurnId()).GetLeaseExpiresAt().AsTime()

	go func() {
		response, err := w.renew(lease, 5*time.Minute)
		done <- renewal{response, err}
	}()

	w.eventually("the lease is extended", func() bool {
		return !w.turn(lease.GetTurnId()).GetLeaseExpiresAt().AsTime().Equal(before)
	})

	return done
}

// eventually polls until a condition holds.
func (w *world) eventually(what string, holds func() bool) {
	w.Helper()

	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()

	for deadline := time.Now().Add(patience); !holds(); <-tick.C {
		if time.Now().After(deadline) {
			w.Fatalf("not in time: %s", what)
		}
	}
}

// answer waits for a renewal's outcome.
func (w *world) answer(done <-chan renewal) (*contextv1.RenewLeaseResponse, error) {
	w.Helper()

	var got renewal

	select {
	case got = <-done:
	case <-time.After(patience):
		w.Fatal("the renewal still waits")
	}

	return got.response, got.err
}

func renewExtends(w *world) {
	turn, lease := w.running()
	w.clock.advance(ttl / 2)

	response, err := w.renew(lease, 0)
	w.ok(err)
	same(w, "expiry", response.GetExpiresAt().AsTime(), w.clock.Now().Add(5*time.Minute))
	same(w, "stored", w.turn(turn.GetTurnId()).GetLeaseExpiresAt().AsTime(), w.clock.Now().Add(5*time.Minute))
	same(w, "cancel", response.GetCancelRequested(), false)

	_, err = w.acquire(turn.GetTurnId(), triage, revA, holder2)
	w.refused(err, "LEASE_HELD")
}

func renewAnswersInTime(w *world) {
	_, lease := w.running()

	_, err := w.renew(lease, 20*time.Millisecond)
	w.ok(err)
}

func renewTellsOfCancel(w *world) {
	turn, lease := w.running()
	done := w.waitingRenewal(lease)

	_, err := w.append(w.as(triage), turn.GetConversationId(), lease, part("no news for the holder"), stepStarted(1, 1))
	w.ok(err)
	_, err = w.append(w.gateway(), turn.GetConversationId(), nil, cancelled(ada))
	w.ok(err)

	response, err := w.answer(done)
	w.ok(err)
	same(w, "cancel", response.GetCancelRequested(), true)
	same(w, "by", response.GetCancelBy(), ada)
	same(w, "reason", response.GetCancelReason(), "changed my mind")
}

func renewTellsAtOnce(w *world) {
	turn, lease := w.running()
	_, err := w.append(w.gateway(), turn.GetConversationId(), nil, cancelled(ada))
	w.ok(err)

	response, err := w.renew(lease, 5*time.Minute)
	w.ok(err)
	same(w, "cancel", response.GetCancelRequested(), true)
}

func renewTellsOfFence(w *world) {
	_, lease := w.running()
	done := w.waitingRenewal(lease)

	_, err := w.client.Withdraw(w.as(rpc.Supervisor), &contextv1.WithdrawRequest{
		Agent: triage, Revision: revA, Replacement: revB, Attempt: 1, Fence: true, Cause: "aborted",
	})
	w.ok(err)

	_, err = w.answer(done)
	w.refused(err, staleEpoch)
}

func renewTellsOfTheEnd(w *world) {
	turn, lease := w.running()
	done := w.waitingRenewal(lease)

	_, err := w.append(w.as(triage), turn.GetConversationId(), lease, completed())
	w.ok(err)

	_, err = w.answer(done)
	w.refused(err, ended)
}

// renewSeesOtherStore: another process over the same store cancels, so that no notice comes.
func renewSeesOtherStore(w *world) {
	waits := newWorldWith(w.tester, contextstore.Config{Store: unclosed{w.store}, LeasePoll: 10 * time.Millisecond})
	turn, lease := w.running()
	done := waits.waitingRenewal(lease)

	_, err := w.append(w.gateway(), turn.GetConversationId(), nil, cancelled(ada))
	w.ok(err)

	response, err := w.answer(done)
	w.ok(err)
	same(w, "cancel", response.GetCancelRequested(), true)
}

// unclosed is a store that another service closes.
type unclosed struct{ contextstore.Store }

func (unclosed) Close() error { return nil }

func renewEndsWithDrain(w *world) {
	_, lease := w.running()
	done := w.waitingRenewal(lease)
	w.service.Drain()

	_, err := w.answer(done)
	w.ok(err)
}

func renewEndsWithCaller(w *world) {
	_, lease := w.running()

	ctx, cancel := context.WithTimeout(w.as(triage), 50*time.Millisecond)
	defer cancel()

	_, err := w.client.RenewLease(ctx, &contextv1.RenewLeaseRequest{
		Lease: lease, Ttl: durationpb.New(ttl), Wait: durationpb.New(ttl),
	})
	same(w, "code", fault.CodeOf(err), codes.DeadlineExceeded)
}
