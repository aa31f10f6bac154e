package storetest

import (
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/timestamppb"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	"github.com/serinhq/serin/internal/fault"
)

func deleteTests() map[string]func(*world) {
	return map[string]func(*world){
		"DeletedIsGone":           deletedIsGone,
		"DeleteUnknown":           deleteUnknown,
		"RunningTurnIsInTheWay":   runningTurnIsInTheWay,
		"ForcedDeletionEndsAll":   forcedDeletionEndsAll,
		"DeleteOnlyIfIdle":        deleteOnlyIfIdle,
		"FollowersSeeTheDeletion": followersSeeTheDeletion,
	}
}

func (w *world) delete(id string, force bool) error {
	_, err := w.client.DeleteConversation(w.gateway(), &contextv1.DeleteConversationRequest{ConversationId: id, Force: force})

	return err
}

// deletedIsGone deletes a conversation that has rows in every table, and leaves its neighbour alone.
func deletedIsGone(w *world) {
	neighbour, _ := w.running()
	turn, lease := w.running()
	id := turn.GetConversationId()

	_, err := w.client.SaveCheckpoint(w.as(triage), &contextv1.SaveCheckpointRequest{
		Lease: lease, Checkpoint: &contextv1.Checkpoint{ConversationId: id, Sequence: 2, Format: 1, Data: []byte("fold")},
	})
	w.ok(err)

	_, err = w.client.PutState(w.gateway(), &contextv1.PutStateRequest{Scope: id, Key: "k", Value: []byte("v")})
	w.ok(err)

	_, err = w.append(w.as(triage), id, lease, completed())
	w.ok(err)
	w.ok(w.delete(id, false))

	_, err = w.client.GetConversation(w.gateway(), &contextv1.GetConversationRequest{ConversationId: id})
	same(w, "code of the conversation", fault.CodeOf(err), codes.NotFound)

	_, err = w.client.GetTurn(w.gateway(), &contextv1.GetTurnRequest{TurnId: turn.GetTurnId()})
	same(w, "code of the turn", fault.CodeOf(err), codes.NotFound)

	_, err = w.client.ReadEvents(w.gateway(), &contextv1.ReadEventsRequest{ConversationId: id})
	same(w, "code of the log", fault.CodeOf(err), codes.NotFound)

	state, err := w.client.GetState(w.gateway(), &contextv1.GetStateRequest{Scope: id, Key: "k"})
	w.ok(err)
	same(w, "version of the state", state.GetVersion(), 0)
	same(w, "conversations", len(w.list(&contextv1.ListConversationsRequest{}, func() {})), 1)
	same(w, "the neighbour's log", len(w.events(neighbour.GetConversationId())), 4)
}

func deleteUnknown(w *world) {
	id := w.open().GetConversationId()
	w.ok(w.delete(id, false))

	for _, unknown := range []string{id, "c0"} {
		same(w, "code", fault.CodeOf(w.delete(unknown, true)), codes.NotFound)
	}
}

func runningTurnIsInTheWay(w *world) {
	turn, _ := w.running()
	same(w, "code", w.refused(w.delete(turn.GetConversationId(), false), "TURN_IN_PROGRESS").code, codes.FailedPrecondition)
	same(w, "events", len(w.events(turn.GetConversationId())), 4)
}

// forcedDeletionEndsAll: an executor that is at work finds that there is nothing to work on.
func forcedDeletionEndsAll(w *world) {
	turn, lease := w.running()
	w.ok(w.delete(turn.GetConversationId(), true))

	_, err := w.append(w.as(triage), turn.GetConversationId(), lease, part("late"))
	same(w, "code of the append", fault.CodeOf(err), codes.NotFound)

	_, err = w.client.RenewLease(w.as(triage), &contextv1.RenewLeaseRequest{Lease: lease, Ttl: durationOf(ttl)})
	same(w, "code of the renewal", fault.CodeOf(err), codes.NotFound)
	same(w, "resumable turns", len(w.resumableIDs()), 0)
}

func deleteOnlyIfIdle(w *world) {
	id := w.open().GetConversationId()
	ifIdle := func() error {
		_, err := w.client.DeleteConversation(w.gateway(), &contextv1.DeleteConversationRequest{
			ConversationId: id, IdleSince: timestamppb.New(w.clock.Now().Add(-ttl)),
		})

		return err
	}

	w.refused(ifIdle(), "CONVERSATION_IN_USE")
	w.clock.advance(ttl)
	w.ok(ifIdle())
}

func followersSeeTheDeletion(w *world) {
	id := w.open().GetConversationId()

	stream, err := w.client.FollowEvents(w.gateway(), &contextv1.FollowEventsRequest{ConversationId: id})
	w.ok(err)

	_, err = stream.Recv()
	w.ok(err)
	w.ok(w.delete(id, false))

	_, err = stream.Recv()
	same(w, "code", fault.CodeOf(err), codes.NotFound)
}
