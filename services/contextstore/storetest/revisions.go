package storetest

import (
	"time"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	"github.com/serinhq/serin/internal/rpc"
	"github.com/serinhq/serin/services/contextstore"
)

func revisionTests() map[string]func(*world) {
	return map[string]func(*world){
		"NewPinsAreRefused":        newPinsAreRefused,
		"PinMovesWhenNextUsed":     pinMovesWhenNextUsed,
		"RunningSegmentFinishes":   runningSegmentFinishes,
		"FenceTakesTheEpoch":       fenceTakesTheEpoch,
		"FenceSparesOthers":        fenceSparesOthers,
		"WithdrawIsIdempotent":     withdrawIsIdempotent,
		"FenceCanFollow":           fenceCanFollow,
		"ReplacementsChain":        replacementsChain,
		"LaterAttemptReinstates":   laterAttemptReinstates,
		"RetryReinstates":          retryReinstates,
		"StaleWithdrawalIsNoMatch": staleWithdrawal,
		"IdleOnesAreForgotten":     idleOnesAreForgotten,
	}
}

// withdraw takes a revision of triage out of service.
func (w *world) withdraw(from, to string, attempt int64, fence bool) int32 {
	w.Helper()

	response, err := w.client.Withdraw(w.as(rpc.Supervisor), &contextv1.WithdrawRequest{
		Agent: triage, Revision: from, Replacement: to, Attempt: attempt, Fence: fence, Cause: "aborted",
	})
	w.ok(err)

	return response.GetFencedTurns()
}

// idleOnesAreForgotten: withdrawals that decide nothing any more go once they are old, and those that do stay.
func idleOnesAreForgotten(w *world) {
	count := func() (n int) {
		w.ok(w.store.View(w.Context(), contextstore.About{}, func(reader contextstore.Reader) error {
			rows, err := reader.Withdrawals(triage)
			n = len(rows)

			return err
		}))

		return n
	}

	w.withdraw(revB, revA, 1, false)
	w.withdraw(revB, revB, 2, false)
	w.withdraw(revB, revA, 3, false)
	w.clock.advance(31 * 24 * time.Hour)
	w.withdraw(revC, revA, 4, false)
	same(w, "withdrawals", count(), 2)
	newPinsAreRefused(w)

	w.clock.advance(31 * 24 * time.Hour)
	w.withdraw(revC, revA, 4, true) // again, and the fence with it
	same(w, "withdrawals", count(), 2)
}

func newPinsAreRefused(w *world) {
	w.withdraw(revB, revA, 1, false)

	turn := w.accept(w.open().GetConversationId())

	_, err := w.acquire(turn.GetTurnId(), triage, revB, holder1)
	same(w, "replacement", w.refused(err, "REVISION_WITHDRAWN").metadata["replacement"], revA)
	same(w, "events", len(w.events(turn.GetConversationId())), 2)

	w.lease(turn.GetTurnId(), triage, revA, holder1)
}

func pinMovesWhenNextUsed(w *world) {
	turn, lease := w.running() // on revision A
	_, err := w.append(w.as(triage), turn.GetConversationId(), lease, completed())
	w.ok(err)
	w.withdraw(revA, revB, 1, false)

	next := w.accept(turn.GetConversationId())

	_, err = w.acquire(next.GetTurnId(), triage, revA, holder1)
	same(w, "replacement", w.refused(err, "REVISION_WITHDRAWN").metadata["replacement"], revB)

	_, err = w.acquire(next.GetTurnId(), triage, revC, holder1)
	same(w, "pin", w.refused(err, "WRONG_REVISION").metadata["pinned_revision"], revB)

	w.lease(next.GetTurnId(), triage, revB, holder2)
	w.ends(turn.GetConversationId(), "turn_accepted", "revision_changed", "segment_started")
	same(w, "pin", w.get(turn.GetConversationId()).GetPins()[triage], revB)

	events := w.events(turn.GetConversationId())
	changed := events[len(events)-2].GetRevisionChanged()
	same(w, "from", changed.GetFromRevision(), revA)
	same(w, "to", changed.GetToRevision(), revB)
	same(w, "cause", changed.GetCause(), "aborted")
}

func runningSegmentFinishes(w *world) {
	turn, lease := w.running()
	same(w, "fenced", w.withdraw(revA, revB, 1, false), 0)

	_, err := w.renew(lease, 0)
	w.ok(err)
	w.lease(turn.GetTurnId(), triage, revA, holder1) // the same holder, the same lease

	_, err = w.append(w.as(triage), turn.GetConversationId(), lease, part("a"), completed())
	w.ok(err)
}

func fenceTakesTheEpoch(w *world) {
	turn, lease := w.running()
	same(w, "fenced", w.withdraw(revA, revB, 1, true), 1)

	_, err := w.append(w.as(triage), turn.GetConversationId(), lease, part("late"))
	w.refused(err, staleEpoch)

	_, err = w.client.SaveCheckpoint(w.as(triage), w.checkpoint(turn.GetConversationId(), lease, 1))
	w.refused(err, staleEpoch)

	same(w, "resumable", len(w.resumableIDs()), 1)

	next, _ := w.lease(turn.GetTurnId(), triage, revB, holder2)
	same(w, "epoch", next.GetEpoch(), lease.GetEpoch()+2)
	w.ends(turn.GetConversationId(), "segment_started", "revision_changed", "segment_restarted")
}

func fenceSparesOthers(w *world) {
	_, lease := w.running()
	same(w, "fenced", w.withdraw(revB, revA, 1, true), 0)

	_, err := w.renew(lease, 0)
	w.ok(err)
}

func withdrawIsIdempotent(w *world) {
	turn, _ := w.running()
	same(w, "fenced", w.withdraw(revA, revB, 1, true), 1)

	next, lease := w.lease(turn.GetTurnId(), triage, revB, holder2)
	same(w, "fenced, told again", w.withdraw(revA, revB, 1, true), 1)
	same(w, "epoch", w.turn(turn.GetTurnId()).GetEpoch(), next.GetEpoch())

	_, err := w.renew(lease, 0)
	w.ok(err)
}

func fenceCanFollow(w *world) {
	_, lease := w.running()
	same(w, "fenced", w.withdraw(revA, revB, 1, false), 0)
	same(w, "fenced", w.withdraw(revA, revB, 1, true), 1)

	_, err := w.renew(lease, 0)
	w.refused(err, staleEpoch)
}

func replacementsChain(w *world) {
	turn, lease := w.running()
	_, err := w.append(w.as(triage), turn.GetConversationId(), lease, completed())
	w.ok(err)
	w.withdraw(revA, revB, 1, false)
	w.withdraw(revB, revC, 2, false)

	next := w.accept(turn.GetConversationId())

	_, err = w.acquire(next.GetTurnId(), triage, revB, holder1)
	same(w, "replacement", w.refused(err, "REVISION_WITHDRAWN").metadata["replacement"], revC)

	w.lease(next.GetTurnId(), triage, revC, holder1)
	same(w, "pin", w.get(turn.GetConversationId()).GetPins()[triage], revC)
}

// laterAttemptReinstates: B was aborted, and a later attempt promoted it.
func laterAttemptReinstates(w *world) {
	w.withdraw(revB, revA, 1, false)
	w.withdraw(revA, revB, 2, false)

	turn := w.accept(w.open().GetConversationId())
	_, err := w.acquire(turn.GetTurnId(), triage, revA, holder1)
	same(w, "replacement", w.refused(err, "REVISION_WITHDRAWN").metadata["replacement"], revB)
	w.lease(turn.GetTurnId(), triage, revB, holder1)
}

// retryReinstates: a withdrawal that names the revision itself puts it back into service.
func retryReinstates(w *world) {
	w.withdraw(revB, revA, 1, false)
	w.withdraw(revB, revB, 2, false)

	turn := w.accept(w.open().GetConversationId())
	w.lease(turn.GetTurnId(), triage, revB, holder1)
}

// staleWithdrawal: what an older attempt says late changes nothing.
func staleWithdrawal(w *world) {
	w.withdraw(revB, revB, 2, false)
	w.withdraw(revB, revA, 1, false)

	turn := w.accept(w.open().GetConversationId())
	w.lease(turn.GetTurnId(), triage, revB, holder1)
}
