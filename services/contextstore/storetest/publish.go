package storetest

import (
	"strconv"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
	"github.com/serinhq/serin/internal/fault"
	"github.com/serinhq/serin/internal/rpc"
)

func publishTests() map[string]func(*world) {
	return map[string]func(*world){
		"DeltasAreShown":           deltasAreShown,
		"OnlyToWhoWants":           onlyToWhoWants,
		"StaleEpochsAreDropped":    staleEpochsAreDropped,
		"UnknownTurnsAreDropped":   unknownTurnsAreDropped,
		"PublishersAreChecked":     publishersAreChecked,
		"PublishEndsWithDrain":     publishEndsWithDrain,
		"PublisherMustOwnTheTurn":  publisherMustOwnTheTurn,
		"DropsNeverHurtDurableOne": dropsNeverHurtDurableOnes,
	}
}

type publishing = grpc.ClientStreamingClient[contextv1.PublishRequest, contextv1.PublishResponse]

func (w *world) publish(as string) publishing {
	w.Helper()

	stream, err := w.client.Publish(w.as(as))
	w.ok(err)

	return stream
}

func (w *world) send(
	stream publishing, conversationID string, lease *contextv1.LeaseRef, events ...*eventv1.Event,
) {
	w.Helper()
	w.ok(stream.Send(&contextv1.PublishRequest{ConversationId: conversationID, Lease: lease, Events: events}))
}

// done ends a stream, and so waits until all of it was taken.
func (w *world) done(stream publishing) error {
	_, err := stream.CloseAndRecv()

	return err
}

func deltasAreShown(w *world) {
	turn, lease := w.running()
	follower := w.follow(turn.GetConversationId(), 4, true)
	follower.durable(4)

	stream := w.publish(triage)
	w.send(stream, turn.GetConversationId(), lease, delta("Hel"), delta("lo"))
	w.ok(w.done(stream))

	for _, text := range []string{"Hel", "lo"} {
		shown := follower.durable(0)
		same(w, "text", shown.GetTextDelta().GetText(), text)
		same(w, "agent", shown.GetAgent(), triage)
		same(w, "epoch", shown.GetEpoch(), lease.GetEpoch())
		same(w, "turn", shown.GetTurnId(), turn.GetTurnId())
		same(w, "conversation", shown.GetConversationId(), turn.GetConversationId())
		same(w, "time", shown.GetTime().AsTime(), w.clock.Now())
	}

	tools := w.publish(rpc.Tools)
	w.send(tools, turn.GetConversationId(), lease, progress())
	w.ok(w.done(tools))
	same(w, "kind", kindOf(follower.durable(0)), "tool_progress")
	same(w, "stored events", len(w.events(turn.GetConversationId())), 4)
}

func onlyToWhoWants(w *world) {
	turn, lease := w.running()
	other, _ := w.running()
	durableOnly := w.follow(turn.GetConversationId(), 4, false)
	elsewhere := w.follow(other.GetConversationId(), 4, true)

	stream := w.publish(triage)
	w.send(stream, turn.GetConversationId(), lease, delta("x"))
	w.ok(w.done(stream))

	_, err := w.append(w.as(triage), turn.GetConversationId(), lease, part("x"))
	w.ok(err)
	durableOnly.durable(4)
	durableOnly.durable(5)
	elsewhere.durable(4)
	same(w, "others", len(elsewhere.ahead), 0)
}

func staleEpochsAreDropped(w *world) {
	turn, old := w.running()
	follower := w.follow(turn.GetConversationId(), 4, true)
	stream := w.publish(triage)

	w.send(stream, turn.GetConversationId(), old, delta("current"))
	follower.durable(4)
	same(w, "text", follower.durable(0).GetTextDelta().GetText(), "current") // the epoch is in memory from here on

	w.clock.advance(ttl)

	_, lease := w.lease(turn.GetTurnId(), triage, revA, holder2)
	w.send(stream, turn.GetConversationId(), old, delta("stale"))
	w.send(stream, turn.GetConversationId(), lease, delta("fresh"))
	w.ok(w.done(stream))
	follower.durable(5)
	same(w, "text", follower.durable(0).GetTextDelta().GetText(), "fresh")

	_, err := w.append(w.as(triage), turn.GetConversationId(), lease, completed())
	w.ok(err)

	stream = w.publish(triage)
	w.send(stream, turn.GetConversationId(), lease, delta("after the end"))
	w.ok(w.done(stream))
	follower.durable(6)

	next := w.accept(turn.GetConversationId())
	same(w, "turn", follower.durable(7).GetTurnId(), next.GetTurnId())
}

func unknownTurnsAreDropped(w *world) {
	turn, lease := w.running()
	follower := w.follow(turn.GetConversationId(), 4, true)
	stream := w.publish(triage)
	w.send(stream, turn.GetConversationId(), &contextv1.LeaseRef{TurnId: "t0", Epoch: 1}, delta("unknown"))
	w.send(stream, w.open().GetConversationId(), lease, delta("another conversation"))
	w.send(stream, turn.GetConversationId(), lease, delta("known"))
	w.ok(w.done(stream))
	follower.durable(4)
	same(w, "text", follower.durable(0).GetTextDelta().GetText(), "known")
}

func publishersAreChecked(w *world) {
	turn, lease := w.running()

	for _, one := range []struct {
		as    string
		event *eventv1.Event
	}{{triage, part("durable")}, {rpc.Tools, delta("x")}, {rpc.Gateway, delta("x")}, {triage, &eventv1.Event{}}} {
		stream := w.publish(one.as)
		w.send(stream, turn.GetConversationId(), lease, one.event)
		w.refused(w.done(stream), "EVENT_NOT_ALLOWED")
	}
}

func publisherMustOwnTheTurn(w *world) {
	turn, lease := w.running()
	stream := w.publish(billing)
	w.send(stream, turn.GetConversationId(), lease, delta("forged"))
	same(w, "code", w.refused(w.done(stream), "AGENT_MISMATCH").code, codes.PermissionDenied)
}

func publishEndsWithDrain(w *world) {
	stream := w.publish(triage)
	w.service.Drain()
	same(w, "code", fault.CodeOf(w.done(stream)), codes.Unavailable)
}

// dropsNeverHurtDurableOnes: a flood of deltas that a follower does not read costs it deltas only.
func dropsNeverHurtDurableOnes(w *world) {
	turn, lease := w.running()
	follower := w.follow(turn.GetConversationId(), 1, true)
	stream := w.publish(triage)

	for i := range 20 {
		for range 50 {
			w.send(stream, turn.GetConversationId(), lease, delta(string(make([]byte, 1024))))
		}

		_, err := w.append(w.as(triage), turn.GetConversationId(), lease, part(strconv.Itoa(i)))
		w.ok(err)
	}

	w.ok(w.done(stream))

	for want := int64(1); want <= 24; {
		if event := follower.next(); event.GetSequence() != 0 {
			same(w, "sequence", event.GetSequence(), want)
			want++
		}
	}
}
