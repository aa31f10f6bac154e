package storetest

import (
	"fmt"
	"slices"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	"github.com/serinhq/serin/internal/fault"
)

func leaseTests() map[string]func(*world) {
	return map[string]func(*world){
		"FirstLeasePinsAndStarts":  firstLeasePinsAndStarts,
		"SameHolderSameLease":      sameHolderSameLease,
		"OneHolder":                oneHolder,
		"ConcurrentAcquires":       concurrentAcquires,
		"LostExecutorIsReplaced":   lostExecutorIsReplaced,
		"LateExecutorMayFinish":    lateExecutorMayFinish,
		"Release":                  release,
		"ReleasedLeaseIsNoLease":   releasedLeaseIsNoLease,
		"ReleaseOfAStaleEpoch":     releaseOfAStaleEpoch,
		"AcquireUnknown":           acquireUnknown,
		"AcquireAnswersCheckpoint": acquireAnswersCheckpoint,
		"NextTurnKeepsThePin":      nextTurnKeepsThePin,
	}
}

// tail returns the last n kinds of a log.
func (w *world) tail(conversationID string, n int) []string {
	w.Helper()

	kinds := w.kinds(conversationID)

	return kinds[len(kinds)-n:]
}

// ends fails the test unless the log ends with the kinds.
func (w *world) ends(conversationID string, want ...string) {
	w.Helper()

	if got := w.tail(conversationID, len(want)); !slices.Equal(got, want) {
		w.Fatalf("the log ends with %v, want %v", got, want)
	}
}

func firstLeasePinsAndStarts(w *world) {
	turn, _ := w.running()
	same(w, "epoch", turn.GetEpoch(), 2)
	same(w, "holder", turn.GetLeaseHolder(), holder1)
	same(w, "expiry", turn.GetLeaseExpiresAt().AsTime(), w.clock.Now().Add(ttl))
	same(w, "segment", turn.GetSegment(), 1)
	same(w, "pin", w.get(turn.GetConversationId()).GetPins()[triage], revA)

	w.ends(turn.GetConversationId(), "turn_accepted", "agent_joined", "segment_started")

	events := w.events(turn.GetConversationId())
	started := events[len(events)-1]
	same(w, "event's epoch", started.GetEpoch(), 2)
	same(w, "event's segment", started.GetSegment(), 1)
	same(w, "event's agent", started.GetAgent(), triage)
	same(w, "event's revision", started.GetRevision(), revA)
}

func sameHolderSameLease(w *world) {
	turn, _ := w.running()
	w.clock.advance(ttl / 2)

	again, _ := w.lease(turn.GetTurnId(), triage, revA, holder1)
	if !proto.Equal(turn, again) {
		w.Fatalf("the lease was %v, and is %v", turn, again)
	}

	same(w, "events", len(w.events(turn.GetConversationId())), 4)
}

func oneHolder(w *world) {
	turn, _ := w.running()

	_, err := w.acquire(turn.GetTurnId(), triage, revA, holder2)
	held := w.refused(err, "LEASE_HELD")
	same(w, "code", held.code, codes.FailedPrecondition)
	same(w, "holder", held.metadata["holder"], holder1)

	expires, err := time.Parse(time.RFC3339Nano, held.metadata["expires_at"])
	w.ok(err)
	same(w, "expires_at", expires, turn.GetLeaseExpiresAt().AsTime())
}

func concurrentAcquires(w *world) {
	turn := w.accept(w.open().GetConversationId())
	granted := make([]bool, 8)

	parallel(len(granted), func(i int) {
		_, err := w.acquire(turn.GetTurnId(), triage, revA, fmt.Sprint(holder1, i))
		granted[i] = err == nil

		if err != nil && !fault.Is(err, "LEASE_HELD") {
			w.Error(err)
		}
	})

	granted = slices.DeleteFunc(granted, func(won bool) bool { return !won })
	same(w, "leases granted", len(granted), 1)
}

func lostExecutorIsReplaced(w *world) {
	turn, old := w.running()
	w.clock.advance(ttl)

	next, lease := w.lease(turn.GetTurnId(), triage, revA, holder2)
	same(w, "epoch", next.GetEpoch(), old.GetEpoch()+1)
	same(w, "segment", next.GetSegment(), 1)
	w.ends(turn.GetConversationId(), "segment_started", "segment_restarted")

	_, err := w.append(w.as(triage), turn.GetConversationId(), old, part("late"))
	w.refused(err, staleEpoch)

	_, err = w.append(w.as(triage), turn.GetConversationId(), lease, part("on time"))
	w.ok(err)
}

// lateExecutorMayFinish: an expired lease that nobody took is still the current one.
func lateExecutorMayFinish(w *world) {
	turn, lease := w.running()
	w.clock.advance(10 * ttl)

	_, err := w.append(w.as(triage), turn.GetConversationId(), lease, completed())
	w.ok(err)
}

func release(w *world) {
	turn, lease := w.running()

	for range 2 { // idempotent
		_, err := w.client.ReleaseLease(w.as(triage), &contextv1.ReleaseLeaseRequest{Lease: lease})
		w.ok(err)
	}

	same(w, "resumable", len(w.resumableIDs()), 1)

	next, _ := w.lease(turn.GetTurnId(), triage, revA, holder2)
	same(w, "epoch", next.GetEpoch(), lease.GetEpoch()+1)
	w.ends(turn.GetConversationId(), "segment_started", "segment_restarted")
}

func releasedLeaseIsNoLease(w *world) {
	turn, lease := w.running()
	_, err := w.client.ReleaseLease(w.as(triage), &contextv1.ReleaseLeaseRequest{Lease: lease})
	w.ok(err)

	_, err = w.append(w.as(triage), turn.GetConversationId(), lease, part("late"))
	w.refused(err, staleEpoch)

	_, err = w.renew(lease, 0)
	w.refused(err, staleEpoch)

	_, err = w.client.SaveCheckpoint(w.as(triage), w.checkpoint(turn.GetConversationId(), lease, 1))
	w.refused(err, staleEpoch)
}

func releaseOfAStaleEpoch(w *world) {
	turn, old := w.running()
	w.clock.advance(ttl)
	w.lease(turn.GetTurnId(), triage, revA, holder2)

	_, err := w.client.ReleaseLease(w.as(triage), &contextv1.ReleaseLeaseRequest{Lease: old})
	w.refused(err, staleEpoch)
	same(w, "holder", w.turn(turn.GetTurnId()).GetLeaseHolder(), holder2)
}

func acquireUnknown(w *world) {
	_, err := w.acquire("t0", triage, revA, holder1)
	same(w, "code", fault.CodeOf(err), codes.NotFound)
}

func acquireAnswersCheckpoint(w *world) {
	turn, lease := w.running()
	_, err := w.client.SaveCheckpoint(w.as(triage), w.checkpoint(turn.GetConversationId(), lease, 3))
	w.ok(err)
	w.clock.advance(ttl)

	response, err := w.acquire(turn.GetTurnId(), triage, revA, holder2)
	w.ok(err)
	same(w, "checkpoint", response.GetCheckpoint().GetSequence(), 3)
	same(w, "version", response.GetVersion(), 5)
}

func nextTurnKeepsThePin(w *world) {
	turn, lease := w.running()
	_, err := w.append(w.as(triage), turn.GetConversationId(), lease, completed())
	w.ok(err)

	next := w.accept(turn.GetConversationId())

	_, err = w.acquire(next.GetTurnId(), triage, revB, holder2)
	same(w, "pin", w.refused(err, "WRONG_REVISION").metadata["pinned_revision"], revA)

	again, _ := w.lease(next.GetTurnId(), triage, revA, holder1)
	same(w, "segment", again.GetSegment(), 1)
	w.ends(turn.GetConversationId(), "turn_accepted", "segment_started")
}
