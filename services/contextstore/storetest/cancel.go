package storetest

import (
	"time"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
)

func cancelTests() map[string]func(*world) {
	return map[string]func(*world){
		"NothingToCancel":         nothingToCancel,
		"CancelReachesExecutor":   cancelReachesExecutor,
		"CancelOfAnUntakenTurn":   cancelOfAnUntakenTurn,
		"CancelOfAWaitingTurn":    cancelOfAWaitingTurn,
		"CancelledTurnDoesntWait": cancelledTurnDoesNotWait,
		"FirstCancelIsTold":       firstCancelIsTold,
	}
}

func nothingToCancel(w *world) {
	_, err := w.append(w.gateway(), w.open().GetConversationId(), nil, cancelled(ada))
	w.refused(err, "NO_ACTIVE_TURN")

	turn, lease := w.running()
	_, err = w.append(w.as(triage), turn.GetConversationId(), lease, completed())
	w.ok(err)

	late := cancelled(ada)
	late.TurnId = turn.GetTurnId()
	_, err = w.append(w.gateway(), turn.GetConversationId(), nil, late)
	w.refused(err, ended)
}

func cancelReachesExecutor(w *world) {
	turn, lease := w.running()
	response, err := w.append(w.gateway(), turn.GetConversationId(), nil, cancelled(ada))
	w.ok(err)
	same(w, "cancel", response.GetTurn().GetCancelRequested(), true)
	same(w, "holder", response.GetTurn().GetLeaseHolder(), holder1)

	response, err = w.append(w.as(triage), turn.GetConversationId(), lease, turnCancelled())
	w.ok(err)
	same(w, "status", response.GetTurn().GetStatus(), contextv1.TurnStatus_TURN_STATUS_CANCELLED)
}

func cancelOfAnUntakenTurn(w *world) {
	turn := w.accept(w.open().GetConversationId())
	_, err := w.append(w.gateway(), turn.GetConversationId(), nil, cancelled(ada))
	w.ok(err)
	same(w, "resumable at once", len(w.resumableIDs()), 1)

	leased, _ := w.lease(turn.GetTurnId(), triage, revA, holder1)
	same(w, "cancel", leased.GetCancelRequested(), true)
}

func cancelOfAWaitingTurn(w *world) {
	turn, _ := w.suspended()
	w.clock.advance(time.Hour)

	response, err := w.append(w.gateway(), turn.GetConversationId(), nil, cancelled(ada))
	w.ok(err)
	same(w, "status", response.GetTurn().GetStatus(), contextv1.TurnStatus_TURN_STATUS_RUNNING)
	same(w, "deadline", response.GetTurn().GetDeadline().AsTime(), turn.GetDeadline().AsTime().Add(time.Hour))
	same(w, "resumable at once", len(w.resumableIDs()), 1)

	_, lease := w.lease(turn.GetTurnId(), triage, revA, holder2)
	_, err = w.append(w.as(triage), turn.GetConversationId(), lease, turnCancelled())
	w.ok(err)
	w.ends(turn.GetConversationId(), "cancel_requested", "segment_resumed", "turn_cancelled")
}

// cancelledTurnDoesNotWait: a cancel that came just before the turn would wait must not be slept over.
func cancelledTurnDoesNotWait(w *world) {
	turn, request := w.proposed()
	_, err := w.append(w.gateway(), turn.GetConversationId(), nil, cancelled(ada))
	w.ok(err)

	response, err := w.append(w.as(triage), turn.GetConversationId(), request.GetLease(), asked("c1", approval), waiting("c1"))
	w.ok(err)
	same(w, "status", response.GetTurn().GetStatus(), contextv1.TurnStatus_TURN_STATUS_RUNNING)
	same(w, "resumable at once", len(w.resumableIDs()), 1)
}

func firstCancelIsTold(w *world) {
	turn, lease := w.running()

	for _, by := range []string{ada, bob} {
		_, err := w.append(w.gateway(), turn.GetConversationId(), nil, cancelled(by))
		w.ok(err)
	}

	response, err := w.renew(lease, 0)
	w.ok(err)
	same(w, "by", response.GetCancelBy(), ada)
}
