package storetest

import (
	"slices"
	"sync"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
	"github.com/serinhq/serin/internal/fault"
)

func appendTests() map[string]func(*world) {
	return map[string]func(*world){
		"SequenceHasNoGaps":        sequenceHasNoGaps,
		"ConcurrentAppends":        concurrentAppends,
		"ExpectedVersion":          expectedVersion,
		"Replay":                   replay,
		"ReplayByCallersDigest":    replayByCallersDigest,
		"ReplayAfterTurnEnded":     replayAfterTurnEnded,
		"RequestIDReused":          requestIDReused,
		"ConcurrentReplays":        concurrentReplays,
		"RefusedWritesNothing":     refusedWritesNothing,
		"StoreStampsEvents":        storeStampsEvents,
		"UnknownConversation":      appendUnknown,
		"TwoTurnsInOneAppend":      twoTurnsInOneAppend,
		"NothingFollowsTheEnd":     nothingFollowsTheEnd,
		"TurnOfOtherConversation":  turnOfOtherConversation,
		"RequestIDsPerConversions": requestIDsPerConversation,
	}
}

func sequenceHasNoGaps(w *world) {
	turn, lease := w.running()

	for range 3 {
		response, err := w.append(w.as(triage), turn.GetConversationId(), lease, part("a"), part("b"))
		w.ok(err)
		same(w, "first", response.GetFirstSequence(), response.GetVersion()-1)
	}

	want := slices.Concat([]string{"conversation_created", "turn_accepted", "agent_joined", "segment_started"},
		slices.Repeat([]string{"message_part"}, 6))

	if got := w.kinds(turn.GetConversationId()); !slices.Equal(got, want) {
		w.Fatalf("got %v, want %v", got, want)
	}
}

// parallel runs n functions at once and waits for them.
func parallel(n int, run func(i int)) {
	var group sync.WaitGroup

	for i := range n {
		group.Go(func() { run(i) })
	}

	group.Wait()
}

func concurrentAppends(w *world) {
	turn, lease := w.running()
	requests := make([]string, 40)

	for i := range requests {
		requests[i] = w.fresh("append")
	}

	parallel(len(requests), func(i int) {
		_, err := w.client.Append(w.as(triage), &contextv1.AppendRequest{
			ConversationId: turn.GetConversationId(), RequestId: requests[i], Lease: lease,
			Events: []*eventv1.Event{part("a"), part("b")},
		})
		if err != nil {
			w.Error(err)
		}
	})

	same(w, "events", len(w.kinds(turn.GetConversationId())), 4+2*len(requests))
	same(w, "version", w.get(turn.GetConversationId()).GetVersion(), int64(4+2*len(requests)))
}

func expectedVersion(w *world) {
	turn, lease := w.running()
	version := w.get(turn.GetConversationId()).GetVersion()
	request := &contextv1.AppendRequest{
		ConversationId: turn.GetConversationId(), RequestId: "a", Lease: lease, ExpectedVersion: new(version),
		Events: []*eventv1.Event{part("a")},
	}

	_, err := w.client.Append(w.as(triage), request)
	w.ok(err)

	request.RequestId = "b"
	_, err = w.client.Append(w.as(triage), request)
	conflict := w.refused(err, "VERSION_CONFLICT")
	same(w, "code", conflict.code, codes.Aborted)
	same(w, "version", w.get(turn.GetConversationId()).GetVersion(), version+1)

	request.RequestId = "a" // it was carried out before, so its expectation is not asked again
	replayed, err := w.client.Append(w.as(triage), request)
	w.ok(err)
	same(w, "replayed", replayed.GetReplayed(), true)
}

func replay(w *world) {
	conversation := w.open()
	request := &contextv1.AppendRequest{
		ConversationId: conversation.GetConversationId(), RequestId: messageRequest,
		Events: []*eventv1.Event{w.accepted("t1")},
	}

	first, err := w.client.Append(w.gateway(), request)
	w.ok(err)
	same(w, "replayed", first.GetReplayed(), false)

	w.lease("t1", triage, revA, holder1)

	again, err := w.client.Append(w.gateway(), request)
	w.ok(err)
	same(w, "replayed", again.GetReplayed(), true)

	again.Replayed = false
	if !proto.Equal(first, again) {
		w.Fatalf("the first answer was %v, the second %v", first, again)
	}

	same(w, "events", len(w.events(conversation.GetConversationId())), 4)
}

func replayByCallersDigest(w *world) {
	conversation := w.open()
	request := &contextv1.AppendRequest{
		ConversationId: conversation.GetConversationId(), RequestId: messageRequest, RequestDigest: digest("hello"),
		Events: []*eventv1.Event{w.accepted("t1")},
	}

	_, err := w.client.Append(w.gateway(), request)
	w.ok(err)

	request.Events = []*eventv1.Event{w.accepted("t2")} // a generated value differs
	again, err := w.client.Append(w.gateway(), request)
	w.ok(err)
	same(w, "replayed", again.GetReplayed(), true)
	same(w, "turn", again.GetTurn().GetTurnId(), "t1")

	request.RequestDigest = digest("good bye")
	_, err = w.client.Append(w.gateway(), request)
	w.refused(err, "REQUEST_ID_REUSED")
}

func replayAfterTurnEnded(w *world) {
	turn, lease := w.running()
	request := &contextv1.AppendRequest{
		ConversationId: turn.GetConversationId(), RequestId: "end", Lease: lease, Events: []*eventv1.Event{completed()},
	}

	for _, replayed := range []bool{false, true} {
		response, err := w.client.Append(w.as(triage), request)
		w.ok(err)
		same(w, "replayed", response.GetReplayed(), replayed)
		same(w, "status", response.GetTurn().GetStatus(), contextv1.TurnStatus_TURN_STATUS_COMPLETED)
	}
}

func requestIDReused(w *world) {
	turn, lease := w.running()
	request := &contextv1.AppendRequest{
		ConversationId: turn.GetConversationId(), RequestId: "a", Lease: lease, Events: []*eventv1.Event{part("a")},
	}

	_, err := w.client.Append(w.as(triage), request)
	w.ok(err)

	request.Events = []*eventv1.Event{part("b")}
	_, err = w.client.Append(w.as(triage), request)
	w.refused(err, "REQUEST_ID_REUSED")
	same(w, "code", fault.CodeOf(err), codes.AlreadyExists)
}

func requestIDsPerConversation(w *world) {
	for range 2 {
		turn, lease := w.running()
		response, err := w.client.Append(w.as(triage), &contextv1.AppendRequest{
			ConversationId: turn.GetConversationId(), RequestId: "a", Lease: lease, Events: []*eventv1.Event{part("a")},
		})
		w.ok(err)
		same(w, "replayed", response.GetReplayed(), false)
	}
}

func concurrentReplays(w *world) {
	conversation := w.open()
	replayed := make([]bool, 16)

	parallel(len(replayed), func(i int) {
		response, err := w.client.Append(w.gateway(), &contextv1.AppendRequest{
			ConversationId: conversation.GetConversationId(), RequestId: messageRequest, RequestDigest: "same",
			Events: []*eventv1.Event{w.accepted("t1")},
		})
		if err != nil {
			w.Error(err)
		}

		replayed[i] = response.GetReplayed()
	})

	first := slices.DeleteFunc(replayed, func(again bool) bool { return again })
	same(w, "requests carried out", len(first), 1)
	same(w, "events", len(w.events(conversation.GetConversationId())), 2)
}

func refusedWritesNothing(w *world) {
	turn, lease := w.running()
	before := w.get(turn.GetConversationId())

	_, err := w.append(w.as(triage), turn.GetConversationId(), lease,
		stepStarted(1, 100), message(1, 7, "c1"), result("c2", eventv1.ToolResult_OUTCOME_OK))
	w.refused(err, "CALL_NOT_PROPOSED")

	if after := w.get(turn.GetConversationId()); !proto.Equal(before, after) {
		w.Fatalf("a refused append changed\n%v to\n%v", before, after)
	}

	same(w, "events", len(w.events(turn.GetConversationId())), 4)
	_, err = w.append(w.as(triage), turn.GetConversationId(), lease, message(1, 7, "c1")) // c1 is not there either
	w.ok(err)
}

func storeStampsEvents(w *world) {
	turn, lease := w.running()
	forged := part("a")
	forged.Sequence, forged.ConversationId, forged.Epoch, forged.Segment = 99, "c0", 99, 99

	_, err := w.append(w.as(triage), turn.GetConversationId(), lease, forged)
	w.ok(err)

	events := w.events(turn.GetConversationId())
	got := events[len(events)-1]
	same(w, "sequence", got.GetSequence(), 5)
	same(w, "conversation", got.GetConversationId(), turn.GetConversationId())
	same(w, "turn", got.GetTurnId(), turn.GetTurnId())
	same(w, "agent", got.GetAgent(), triage)
	same(w, "revision", got.GetRevision(), revA)
	same(w, "epoch", got.GetEpoch(), lease.GetEpoch())
	same(w, "segment", got.GetSegment(), 1)
	same(w, "time", got.GetTime().AsTime(), w.clock.Now())
}

func appendUnknown(w *world) {
	_, err := w.append(w.gateway(), "c0", nil, w.accepted("t1"))
	same(w, "code", fault.CodeOf(err), codes.NotFound)

	_, err = w.append(w.as(triage), w.open().GetConversationId(), &contextv1.LeaseRef{TurnId: "t0", Epoch: 1}, part("a"))
	same(w, "code", fault.CodeOf(err), codes.NotFound)
}

func twoTurnsInOneAppend(w *world) {
	turn, lease := w.running()
	foreign := part("a")
	foreign.TurnId = "another"

	_, err := w.append(w.as(triage), turn.GetConversationId(), lease, foreign)
	same(w, "code", fault.CodeOf(err), codes.InvalidArgument)
}

func nothingFollowsTheEnd(w *world) {
	turn, lease := w.running()

	for _, last := range []*eventv1.Event{completed(), handoff(triage, billing, nil), failed("INTERNAL")} {
		_, err := w.append(w.as(triage), turn.GetConversationId(), lease, last, part("a"))
		same(w, "code", fault.CodeOf(err), codes.InvalidArgument)
	}
}

func turnOfOtherConversation(w *world) {
	_, lease := w.running()

	_, err := w.append(w.as(triage), w.open().GetConversationId(), lease, part("a"))
	same(w, "code", fault.CodeOf(err), codes.NotFound)
}
