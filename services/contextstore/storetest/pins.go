package storetest

import (
	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
)

func pinTests() map[string]func(*world) {
	return map[string]func(*world){
		"TurnsNameThePin":          turnsNameThePin,
		"HandoffNamesTheNextPin":   handoffNamesTheNextPin,
		"PinFollowsWithdrawals":    pinFollowsWithdrawals,
		"ForcedRevisionIsKept":     forcedRevisionIsKept,
		"ForcedForALaterAgent":     forcedForALaterAgent,
		"PinIsOlderThanForce":      pinIsOlderThanForce,
		"WithdrawnIsNotForced":     withdrawnIsNotForced,
		"ForceIsForItsTurnOnly":    forceIsForItsTurnOnly,
		"ForceOutlivesAWithdrawal": forceOutlivesAWithdrawal,
	}
}

// pinned fails the test unless the turn names the revision wherever it can be read.
func (w *world) pinned(turnID, want string) {
	w.Helper()

	turn := w.turn(turnID)
	same(w, "pinned in GetTurn", turn.GetPinnedRevision(), want)

	if active := w.get(turn.GetConversationId()).GetActiveTurn(); active.GetTurnId() == turnID {
		same(w, "pinned in GetConversation", active.GetPinnedRevision(), want)
	}

	for _, resumable := range w.resumableTurns() {
		if resumable.GetTurnId() == turnID {
			same(w, "pinned in ListResumableTurns", resumable.GetPinnedRevision(), want)
		}
	}
}

// force begins a turn that forces revisions.
func (w *world) force(conversationID string, revisions map[string]string) *contextv1.Turn {
	w.Helper()

	accepted := w.accepted(w.fresh("turn"))
	accepted.GetTurnAccepted().ForcedRevisions = revisions
	response, err := w.append(w.gateway(), conversationID, nil, accepted)
	w.ok(err)

	return response.GetTurn()
}

// keeps fails the test unless a lease is refused in favour of the revision.
func (w *world) keeps(turnID, agent, offered, want string) {
	w.Helper()

	_, err := w.acquire(turnID, agent, offered, holder1)
	same(w, "pinned revision", w.refused(err, "WRONG_REVISION").metadata["pinned_revision"], want)
}

func turnsNameThePin(w *world) {
	turn := w.accept(w.open().GetConversationId())
	same(w, "pinned at first", turn.GetPinnedRevision(), "")
	w.clock.advance(ttl)
	w.pinned(turn.GetTurnId(), "")

	leased, lease := w.lease(turn.GetTurnId(), triage, revA, holder1)
	same(w, "pinned by the lease", leased.GetPinnedRevision(), revA)
	w.pinned(turn.GetTurnId(), revA)

	w.clock.advance(ttl) // so that it is resumable
	w.pinned(turn.GetTurnId(), revA)

	same(w, "pinned in Append", w.write(triage, turn, lease, part("a")).GetPinnedRevision(), revA)
	same(w, "pinned at the end", w.write(triage, turn, lease, completed()).GetPinnedRevision(), revA)
	w.pinned(turn.GetTurnId(), revA)

	next := w.accept(turn.GetConversationId())
	same(w, "pinned from the next turn's start", next.GetPinnedRevision(), revA)
}

func handoffNamesTheNextPin(w *world) {
	turn, lease := w.running()
	same(w, "no pin yet", w.write(triage, turn, lease, handoff(triage, billing, nil)).GetPinnedRevision(), "")

	_, lease = w.lease(turn.GetTurnId(), billing, revB, holder1)
	same(w, "pin of triage", w.write(billing, turn, lease, handoff(billing, triage, nil)).GetPinnedRevision(), revA)

	_, lease = w.lease(turn.GetTurnId(), triage, revA, holder1)
	same(w, "pin of billing", w.write(triage, turn, lease, handoff(triage, billing, nil)).GetPinnedRevision(), revB)
	w.pinned(turn.GetTurnId(), revB)
}

func pinFollowsWithdrawals(w *world) {
	turn, lease := w.running()
	w.withdraw(revA, revB, 1, false)
	w.pinned(turn.GetTurnId(), revB)
	same(w, "pinned in Append", w.write(triage, turn, lease, part("a")).GetPinnedRevision(), revB)

	held, _ := w.lease(turn.GetTurnId(), triage, revA, holder1) // the holder asks again
	same(w, "pinned by the lease that is held", held.GetPinnedRevision(), revB)

	w.withdraw(revB, revC, 2, false)
	w.pinned(turn.GetTurnId(), revC)
	w.write(triage, turn, lease, completed())
	same(w, "pinned in the next turn", w.accept(turn.GetConversationId()).GetPinnedRevision(), revC)

	w.withdraw(revA, revA, 3, false)
	same(w, "pinned once reinstated", w.get(turn.GetConversationId()).GetActiveTurn().GetPinnedRevision(), revA)
}

func forcedRevisionIsKept(w *world) {
	conversation := w.open().GetConversationId()
	turn := w.force(conversation, map[string]string{triage: revB})
	same(w, "pinned", turn.GetPinnedRevision(), revB)
	w.clock.advance(ttl)
	w.pinned(turn.GetTurnId(), revB)

	w.keeps(turn.GetTurnId(), triage, revA, revB)
	same(w, "events", len(w.events(conversation)), 2)

	_, lease := w.lease(turn.GetTurnId(), triage, revB, holder1)
	same(w, "pin", w.get(conversation).GetPins()[triage], revB)
	w.write(triage, turn, lease, completed())
	same(w, "pinned in the next turn", w.accept(conversation).GetPinnedRevision(), revB)
}

func forcedForALaterAgent(w *world) {
	turn := w.force(w.open().GetConversationId(), map[string]string{billing: revC})
	same(w, "pinned", turn.GetPinnedRevision(), "")

	_, lease := w.lease(turn.GetTurnId(), triage, revA, holder1)
	same(w, "pinned after the handoff", w.write(triage, turn, lease, handoff(triage, billing, nil)).GetPinnedRevision(), revC)
	w.keeps(turn.GetTurnId(), billing, revB, revC)
	w.lease(turn.GetTurnId(), billing, revC, holder1)
}

func pinIsOlderThanForce(w *world) {
	turn, lease := w.running()
	w.write(triage, turn, lease, completed())

	next := w.force(turn.GetConversationId(), map[string]string{triage: revB})
	same(w, "pinned", next.GetPinnedRevision(), revA)
	w.keeps(next.GetTurnId(), triage, revB, revA)
	w.lease(next.GetTurnId(), triage, revA, holder1)
}

func withdrawnIsNotForced(w *world) {
	w.withdraw(revB, revA, 1, false)

	turn := w.force(w.open().GetConversationId(), map[string]string{triage: revB})
	same(w, "pinned", turn.GetPinnedRevision(), "")
	w.lease(turn.GetTurnId(), triage, revC, holder1)
}

// forceIsForItsTurnOnly: an agent that joins in a later turn is split by weight again.
func forceIsForItsTurnOnly(w *world) {
	conversation := w.open().GetConversationId()
	turn := w.force(conversation, map[string]string{billing: revC})
	_, lease := w.lease(turn.GetTurnId(), triage, revA, holder1)
	w.write(triage, turn, lease, completed())

	next := w.accept(conversation)
	_, lease = w.lease(next.GetTurnId(), triage, revA, holder1)
	same(w, "pinned", w.write(triage, next, lease, handoff(triage, billing, nil)).GetPinnedRevision(), "")
	w.lease(next.GetTurnId(), billing, revB, holder1)
}

// forceOutlivesAWithdrawal: a forced revision that was withdrawn in time is in force again once it is reinstated.
func forceOutlivesAWithdrawal(w *world) {
	turn := w.force(w.open().GetConversationId(), map[string]string{triage: revB})
	w.withdraw(revB, revA, 1, false)
	w.pinned(turn.GetTurnId(), "")
	w.withdraw(revB, revB, 2, false)
	w.pinned(turn.GetTurnId(), revB)
	w.keeps(turn.GetTurnId(), triage, revA, revB)
}
