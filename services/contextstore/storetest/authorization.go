package storetest

import (
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
	"github.com/serinhq/serin/internal/fault"
	"github.com/serinhq/serin/internal/rpc"
)

func authorizationTests() map[string]func(*world) {
	return map[string]func(*world){
		"EventKindsByRole":        eventKindsByRole,
		"AgentsSpeakForThemselve": agentsSpeakForThemselves,
		"AgentsNeedALease":        agentsNeedALease,
		"NoPeer":                  noPeer,
	}
}

// writers says who may append what; nobody else may.
func writers() map[string]string {
	table := map[string]string{
		"turn_accepted": rpc.Gateway, "cancel_requested": rpc.Gateway, "input_resolved": rpc.Gateway,
		"feedback_given": rpc.Gateway, "turn_failed": rpc.Gateway + "," + triage,
	}

	for _, kind := range []string{
		"step_started", "message_part", "agent_message", "tool_result", "input_requested", "turn_waiting", "handoff",
		"guardrail_triggered", "guardrail_applied", "documents_retrieved", "memories_recalled", "turn_completed",
		"turn_cancelled",
	} {
		table[kind] = triage
	}

	return table
}

func eventKindsByRole(w *world) {
	turn, lease := w.running()
	allowed := writers()
	fields := (&eventv1.Event{}).ProtoReflect().Descriptor().Oneofs().ByName("kind").Fields()

	for i := range fields.Len() {
		for _, name := range []string{rpc.Gateway, triage, rpc.Tools, rpc.Supervisor, rpc.Operator} {
			event := &eventv1.Event{}
			event.ProtoReflect().Set(fields.Get(i), event.ProtoReflect().NewField(fields.Get(i)))

			kind := string(fields.Get(i).Name())
			if allowed[kind] == name || allowed[kind] == rpc.Gateway+","+triage && (name == rpc.Gateway || name == triage) {
				continue
			}

			_, err := w.append(w.as(name), turn.GetConversationId(), lease, event)
			if !fault.Is(err, "EVENT_NOT_ALLOWED") {
				w.Errorf("%s as %s: got %v, want EVENT_NOT_ALLOWED", kind, name, err)
			}
		}
	}
}

func agentsSpeakForThemselves(w *world) {
	turn, lease := w.running()
	forged := part("a")
	forged.Agent = billing

	_, err := w.append(w.as(triage), turn.GetConversationId(), lease, forged)
	same(w, "code", w.refused(err, "AGENT_MISMATCH").code, codes.PermissionDenied)

	_, err = w.append(w.as(billing), turn.GetConversationId(), lease, part("a"))
	w.refused(err, notOwner)

	_, err = w.client.AcquireLease(w.as(billing), &contextv1.AcquireLeaseRequest{
		TurnId: turn.GetTurnId(), Agent: triage, Revision: revA, Holder: holder2, Ttl: durationpb.New(ttl),
	})
	w.refused(err, "AGENT_MISMATCH")

	_, err = w.client.RenewLease(w.as(billing), &contextv1.RenewLeaseRequest{Lease: lease, Ttl: durationpb.New(ttl)})
	w.refused(err, notOwner)

	_, err = w.client.ReleaseLease(w.as(billing), &contextv1.ReleaseLeaseRequest{Lease: lease})
	w.refused(err, notOwner)

	_, err = w.client.SaveCheckpoint(w.as(billing), w.checkpoint(turn.GetConversationId(), lease, 1))
	w.refused(err, notOwner)
}

func agentsNeedALease(w *world) {
	turn, _ := w.running()

	_, err := w.append(w.as(triage), turn.GetConversationId(), nil, part("a"))
	same(w, "code", fault.CodeOf(err), codes.InvalidArgument)
}

func noPeer(w *world) {
	turn, lease := w.running()

	_, err := w.append(w.Context(), turn.GetConversationId(), lease, part("a"))
	same(w, "code", fault.CodeOf(err), codes.Unauthenticated)
}
