package storetest

import (
	"bytes"

	"google.golang.org/grpc/codes"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	"github.com/serinhq/serin/internal/fault"
)

func memoryTests() map[string]func(*world) {
	return map[string]func(*world){
		"NewestCheckpointWins":   newestCheckpointWins,
		"CheckpointsAreChecked":  checkpointsAreChecked,
		"StateIsComparedAndSet":  stateIsComparedAndSet,
		"StateNeedsConversation": stateNeedsConversation,
		"ConcurrentState":        concurrentState,
		"Ready":                  func(w *world) { w.ok(w.service.Ready(w.Context())) },
	}
}

func (w *world) checkpoint(conversationID string, lease *contextv1.LeaseRef, sequence int64) *contextv1.SaveCheckpointRequest {
	return &contextv1.SaveCheckpointRequest{Lease: lease, Checkpoint: &contextv1.Checkpoint{
		ConversationId: conversationID, Sequence: sequence, Data: []byte("fold"), Format: 1,
	}}
}

func newestCheckpointWins(w *world) {
	turn, lease := w.running()

	for _, sequence := range []int64{2, 3, 3} {
		_, err := w.client.SaveCheckpoint(w.as(triage), w.checkpoint(turn.GetConversationId(), lease, sequence))
		w.ok(err)
	}

	_, err := w.client.SaveCheckpoint(w.as(triage), w.checkpoint(turn.GetConversationId(), lease, 2))
	same(w, "code", w.refused(err, "VERSION_CONFLICT").code, codes.Aborted)

	response, err := w.acquire(turn.GetTurnId(), triage, revA, holder1)
	w.ok(err)
	same(w, "sequence", response.GetCheckpoint().GetSequence(), 3)
	same(w, "data", string(response.GetCheckpoint().GetData()), "fold")
	same(w, "format", response.GetCheckpoint().GetFormat(), 1)
}

func checkpointsAreChecked(w *world) {
	turn, lease := w.running()

	_, err := w.client.SaveCheckpoint(w.as(triage), w.checkpoint(turn.GetConversationId(), lease, 5))
	same(w, "code of a future sequence", fault.CodeOf(err), codes.InvalidArgument)

	_, err = w.client.SaveCheckpoint(w.as(triage), w.checkpoint(w.open().GetConversationId(), lease, 1))
	same(w, "code of another conversation", fault.CodeOf(err), codes.InvalidArgument)

	stale := &contextv1.LeaseRef{TurnId: turn.GetTurnId(), Epoch: lease.GetEpoch() - 1}
	_, err = w.client.SaveCheckpoint(w.as(triage), w.checkpoint(turn.GetConversationId(), stale, 1))
	w.refused(err, staleEpoch)
}

func stateIsComparedAndSet(w *world) {
	scope := w.open().GetConversationId()

	for _, scope := range []string{scope, "tenant/acme"} {
		for version, value := range [][]byte{[]byte("one"), {}, []byte("three")} {
			response, err := w.client.PutState(w.as(triage), &contextv1.PutStateRequest{
				Scope: scope, Key: "k", Value: value, ExpectedVersion: int64(version),
			})
			w.ok(err)
			same(w, "version", response.GetVersion(), int64(version)+1)

			read, err := w.client.GetState(w.as(billing), &contextv1.GetStateRequest{Scope: scope, Key: "k"})
			w.ok(err)
			same(w, "version", read.GetVersion(), int64(version)+1)
			same(w, "value is equal", bytes.Equal(read.GetValue(), value), true)
		}

		_, err := w.client.PutState(w.as(triage), &contextv1.PutStateRequest{Scope: scope, Key: "k", ExpectedVersion: 2})
		same(w, "code", w.refused(err, "VERSION_CONFLICT").code, codes.Aborted)
	}

	read, err := w.client.GetState(w.as(billing), &contextv1.GetStateRequest{Scope: scope, Key: "other"})
	w.ok(err)
	same(w, "version", read.GetVersion(), 0)
}

func stateNeedsConversation(w *world) {
	_, err := w.client.PutState(w.as(triage), &contextv1.PutStateRequest{Scope: "c0", Key: "k"})
	same(w, "code", fault.CodeOf(err), codes.NotFound)
}

func concurrentState(w *world) {
	won := make([]bool, 8)

	parallel(len(won), func(i int) {
		_, err := w.client.PutState(w.as(triage), &contextv1.PutStateRequest{Scope: "tenant/acme", Key: "k"})
		won[i] = err == nil
	})

	count := 0

	for _, one := range won {
		if one {
			count++
		}
	}

	same(w, "writers that won", count, 1)
}
