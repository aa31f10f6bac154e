package storetest

import (
	"fmt"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
	"github.com/serinhq/serin/internal/fault"
	"github.com/serinhq/serin/internal/rpc"
)

func callTests() map[string]func(*world) {
	return map[string]func(*world){
		"ClaimAndComplete":        claimAndComplete,
		"OnlyWhatTheLogHas":       onlyWhatTheLogHas,
		"OnlyTheProposersCalls":   onlyTheProposersCalls,
		"OneRunner":               oneRunner,
		"SameHolderRenews":        sameHolderRenews,
		"LostIdempotentRunsAgain": lostIdempotentRunsAgain,
		"LostOtherIsUnknown":      lostOtherIsUnknown,
		"LateResultIsTaken":       lateResultIsTaken,
		"EpochsFenceClaims":       epochsFenceClaims,
		"RunningCallOutlivesTurn": runningCallOutlivesTurn,
		"NoClaimOnceCancelled":    noClaimOnceCancelled,
		"ClaimNotHeld":            claimNotHeld,
		"AgentRecordsResults":     agentRecordsResults,
		"AgentCantOverrule":       agentCantOverrule,
		"CallIDsAreUnique":        callIDsAreUnique,
		"ConcurrentClaims":        concurrentClaims,
	}
}

// proposed makes a running turn whose log asks for call c1.
func (w *world) proposed() (*contextv1.Turn, *contextv1.ClaimCallRequest) {
	w.Helper()

	turn, lease := w.running()
	_, err := w.append(w.as(triage), turn.GetConversationId(), lease, stepStarted(1, 0), message(1, 1, "c1"))
	w.ok(err)

	return turn, &contextv1.ClaimCallRequest{
		Lease: lease, ConversationId: turn.GetConversationId(), CallId: "c1", Tool: refundTool,
		ArgumentsDigest: digest(arguments), Holder: holder1, Ttl: durationpb.New(ttl), Agent: triage,
	}
}

func (w *world) claim(request *contextv1.ClaimCallRequest, holder string) (*contextv1.ClaimCallResponse, error) {
	mine := proto.CloneOf(request)
	mine.Holder = holder

	return w.client.ClaimCall(w.as(rpc.Tools), mine)
}

// claims fails the test unless a claim is decided so.
func (w *world) claims(
	request *contextv1.ClaimCallRequest, holder string, want contextv1.ClaimCallResponse_Status,
) *contextv1.ClaimCallResponse {
	w.Helper()

	response, err := w.claim(request, holder)
	w.ok(err)
	same(w, "claim", response.GetStatus(), want)

	return response
}

func (w *world) complete(conversationID, callID, holder string) (*contextv1.CompleteCallResponse, error) {
	return w.client.CompleteCall(w.as(rpc.Tools), &contextv1.CompleteCallRequest{
		ConversationId: conversationID, Holder: holder, Result: &eventv1.ToolResult{
			CallId: callID, Tool: refundTool, Outcome: eventv1.ToolResult_OUTCOME_OK, Output: "refunded",
		},
	})
}

const (
	granted    = contextv1.ClaimCallResponse_STATUS_GRANTED
	inProgress = contextv1.ClaimCallResponse_STATUS_IN_PROGRESS
	unknown    = contextv1.ClaimCallResponse_STATUS_OUTCOME_UNKNOWN
	finished   = contextv1.ClaimCallResponse_STATUS_COMPLETED
)

func claimAndComplete(w *world) {
	turn, request := w.proposed()
	w.claims(request, holder1, granted)
	w.ends(turn.GetConversationId(), "agent_message", "tool_started")

	for range 2 { // idempotent
		response, err := w.complete(turn.GetConversationId(), "c1", holder1)
		w.ok(err)
		same(w, "sequence", response.GetSequence(), 8)
	}

	w.ends(turn.GetConversationId(), "agent_message", "tool_started", "tool_result")

	again := w.claims(request, holder2, finished)
	same(w, "result", again.GetResult().GetOutput(), "refunded")

	events := w.events(turn.GetConversationId())
	recorded := events[len(events)-1]
	same(w, "agent", recorded.GetAgent(), triage)
	same(w, "revision", recorded.GetRevision(), revA)
	same(w, "step", recorded.GetStep(), 1)
	same(w, "segment", recorded.GetSegment(), 1)
	same(w, "turn", recorded.GetTurnId(), turn.GetTurnId())
}

func onlyWhatTheLogHas(w *world) {
	_, request := w.proposed()

	for reason, change := range map[string]func(*contextv1.ClaimCallRequest){
		"CALL_NOT_PROPOSED": func(r *contextv1.ClaimCallRequest) { r.CallId = "c2" },
		"ARGUMENTS_CHANGED": func(r *contextv1.ClaimCallRequest) { r.ArgumentsDigest = digest("{}") },
		"APPROVAL_REQUIRED": func(r *contextv1.ClaimCallRequest) { r.NeedsApproval = true },
		staleEpoch:          func(r *contextv1.ClaimCallRequest) { r.Lease.Epoch++ },
	} {
		changed := proto.CloneOf(request)
		change(changed)

		_, err := w.claim(changed, holder1)
		w.refused(err, reason)
	}

	other := proto.CloneOf(request) // the arguments of one tool are no permission for another
	other.Tool = "wire_transfer"
	_, err := w.claim(other, holder1)
	w.refused(err, "CALL_NOT_PROPOSED")

	foreign, _ := w.running() // nor is a call of one turn one of another
	other = proto.CloneOf(request)
	other.Lease = refOf(foreign)
	_, err = w.claim(other, holder1)
	w.refused(err, "CALL_NOT_PROPOSED")
}

// onlyTheProposersCalls: no agent runs what another one asked for, whoever owns the turn by now, and also not by renewing.
func onlyTheProposersCalls(w *world) {
	turn, request := w.proposed()
	w.claimedBy(request, billing)
	w.claimedBy(request, "")

	moved, err := w.append(w.as(triage), turn.GetConversationId(), request.GetLease(), handoff(triage, billing, nil))
	w.ok(err)

	_, lease := w.lease(moved.GetTurn().GetTurnId(), billing, revB, holder2)
	request.Lease = lease
	w.claimedBy(request, billing)
	w.ends(turn.GetConversationId(), "handoff", "agent_joined", "segment_started")

	_, request = w.proposed()
	w.claims(request, holder1, granted)
	w.claimedBy(request, billing)
}

// claimedBy fails the test unless an agent is refused a call of triage's, and told whose it is.
func (w *world) claimedBy(request *contextv1.ClaimCallRequest, agent string) {
	w.Helper()

	foreign := proto.CloneOf(request)
	foreign.Agent = agent

	_, err := w.claim(foreign, holder1)
	told := w.refused(err, "CALL_NOT_PROPOSED")
	same(w, "code", told.code, codes.FailedPrecondition)
	same(w, "proposer", told.metadata["agent"], triage)

	if want := fmt.Sprintf("by agent %q, not by %q", triage, agent); !strings.Contains(err.Error(), want) {
		w.Fatalf("got %v, want it to say %s", err, want)
	}
}

func oneRunner(w *world) {
	_, request := w.proposed()
	first := w.claims(request, holder1, granted)
	second := w.claims(request, holder2, inProgress)
	same(w, "expiry", second.GetExpiresAt().AsTime(), first.GetExpiresAt().AsTime())
	same(w, "expiry", second.GetExpiresAt().AsTime(), w.clock.Now().Add(ttl))
}

func sameHolderRenews(w *world) {
	turn, request := w.proposed()

	for range 3 {
		w.claims(request, holder1, granted)
		w.clock.advance(ttl * 3 / 4)
		w.claims(request, holder2, inProgress)
	}

	w.ends(turn.GetConversationId(), "agent_message", "tool_started") // once
}

func lostIdempotentRunsAgain(w *world) {
	turn, request := w.proposed()
	request.Idempotent = true
	w.claims(request, holder1, granted)
	w.clock.advance(ttl)
	w.claims(request, holder2, granted)
	w.ends(turn.GetConversationId(), "tool_started", "tool_started")

	_, err := w.complete(turn.GetConversationId(), "c1", holder1)
	w.refused(err, "CLAIM_NOT_HELD")
	_, err = w.complete(turn.GetConversationId(), "c1", holder2)
	w.ok(err)
}

func lostOtherIsUnknown(w *world) {
	_, request := w.proposed()
	w.claims(request, holder1, granted)
	w.clock.advance(ttl)

	for range 2 { // it stays so
		w.claims(request, holder2, unknown)
		w.claims(request, holder1, unknown)
	}

	request.Idempotent = true // nor does a change of the tool's settings help
	w.claims(request, holder2, unknown)
}

// lateResultIsTaken: the process was slow, not dead, and nobody has answered for it yet.
func lateResultIsTaken(w *world) {
	turn, request := w.proposed()
	w.claims(request, holder1, granted)
	w.clock.advance(ttl)
	w.claims(request, holder2, unknown)

	_, err := w.complete(turn.GetConversationId(), "c1", holder1)
	w.ok(err)
	w.claims(request, holder2, finished)
}

func epochsFenceClaims(w *world) {
	turn, request := w.proposed()
	w.clock.advance(ttl)
	_, lease := w.lease(turn.GetTurnId(), triage, revA, holder2)

	_, err := w.claim(request, holder1)
	w.refused(err, staleEpoch)

	request.Lease = lease
	w.claims(request, holder1, granted)

	_, err = w.append(w.as(triage), turn.GetConversationId(), lease, completed())
	w.ok(err)
	_, err = w.claim(request, holder2)
	w.refused(err, ended)
}

// runningCallOutlivesTurn: the effect exists, so its claim can be renewed and its result is taken.
func runningCallOutlivesTurn(w *world) {
	turn, request := w.proposed()
	w.claims(request, holder1, granted)
	w.clock.advance(ttl)
	_, lease := w.lease(turn.GetTurnId(), triage, revA, holder2)
	w.claims(request, holder1, granted) // renewed under the old epoch

	_, err := w.append(w.as(triage), turn.GetConversationId(), lease, completed())
	w.ok(err)
	_, err = w.complete(turn.GetConversationId(), "c1", holder1)
	w.ok(err)
	w.ends(turn.GetConversationId(), "turn_completed", "tool_result")
}

func noClaimOnceCancelled(w *world) {
	turn, request := w.proposed()
	_, err := w.append(w.gateway(), turn.GetConversationId(), nil, cancelled(ada))
	w.ok(err)

	_, err = w.claim(request, holder1)
	w.refused(err, "CANCEL_REQUESTED")
}

func claimNotHeld(w *world) {
	turn, request := w.proposed()

	for _, call := range []string{"c1", "c2"} {
		_, err := w.complete(turn.GetConversationId(), call, holder1)
		w.refused(err, "CLAIM_NOT_HELD")
	}

	w.claims(request, holder1, granted)
	_, err := w.complete(turn.GetConversationId(), "c1", holder2)
	w.refused(err, "CLAIM_NOT_HELD")
}

func agentRecordsResults(w *world) {
	turn, request := w.proposed()
	_, err := w.append(w.as(triage), turn.GetConversationId(), request.GetLease(), result("c1", eventv1.ToolResult_OUTCOME_ERROR))
	w.ok(err)

	got := w.claims(request, holder1, finished)
	same(w, "outcome", got.GetResult().GetOutcome(), eventv1.ToolResult_OUTCOME_ERROR)

	_, err = w.complete(turn.GetConversationId(), "c1", holder1)
	w.refused(err, "CLAIM_NOT_HELD")
	_, err = w.append(w.as(triage), turn.GetConversationId(), request.GetLease(), result("c1", eventv1.ToolResult_OUTCOME_OK))
	w.refused(err, "CALL_COMPLETED")
}

// agentCantOverrule: while a call runs only its runner knows, and once that is lost, only a human.
func agentCantOverrule(w *world) {
	turn, request := w.proposed()
	w.claims(request, holder1, granted)

	_, err := w.append(w.as(triage), turn.GetConversationId(), request.GetLease(), result("c1", eventv1.ToolResult_OUTCOME_ERROR))
	w.refused(err, "CALL_IN_PROGRESS")
	w.clock.advance(ttl)

	_, err = w.append(w.as(triage), turn.GetConversationId(), request.GetLease(), result("c1", eventv1.ToolResult_OUTCOME_ERROR))
	w.refused(err, "OUTCOME_NOT_KNOWN")

	_, err = w.append(w.as(triage), turn.GetConversationId(), request.GetLease(), result("c1", eventv1.ToolResult_OUTCOME_UNKNOWN))
	w.ok(err)
}

func callIDsAreUnique(w *world) {
	turn, request := w.proposed()
	_, err := w.append(w.as(triage), turn.GetConversationId(), request.GetLease(), message(2, 1, "c1"))
	w.refused(err, "CALL_EXISTS")

	_, err = w.append(w.as(triage), turn.GetConversationId(), request.GetLease(), message(2, 1, "c2", "c2"))
	same(w, "code", fault.CodeOf(err), codes.FailedPrecondition)
}

func concurrentClaims(w *world) {
	_, request := w.proposed()
	statuses := make([]contextv1.ClaimCallResponse_Status, 8)

	parallel(len(statuses), func(i int) {
		response, err := w.claim(request, time.Duration(i).String())
		if err != nil {
			w.Error(err)
		}

		statuses[i] = response.GetStatus()
	})

	count := map[contextv1.ClaimCallResponse_Status]int{}
	for _, status := range statuses {
		count[status]++
	}

	same(w, "grants", count[granted], 1)
	same(w, "others", count[inProgress], len(statuses)-1)
}
