package app_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	conversationv1 "github.com/serinhq/serin/gen/serin/conversation/v1"
	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
	"github.com/serinhq/serin/internal/app"
)

const chargedTwice = "My invoice was charged twice, please refund the duplicate charge"

// checkLog checks what must hold of every log, whatever died in between.
func checkLog(t *testing.T, events []*eventv1.Event) {
	t.Helper()

	problems := problemsOf(events)
	for _, problem := range problems {
		t.Error(problem)
	}

	if len(problems) > 0 {
		t.Logf("the log:\n%s", transcript(events))
	}
}

// problemsOf are where a log is not as it must be.
func problemsOf(events []*eventv1.Event) (problems []string) {
	add := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }

	results, ends, turns := map[string]int{}, 0, 0
	calls := []string{}

	for i, event := range events {
		if event.GetSequence() != int64(i+1) {
			add("event %d has sequence %d", i+1, event.GetSequence())
		}

		switch kind := event.GetKind().(type) {
		case *eventv1.Event_TurnAccepted:
			turns++
		case *eventv1.Event_TurnCompleted, *eventv1.Event_TurnFailed, *eventv1.Event_TurnCancelled:
			ends++
		case *eventv1.Event_ToolResult:
			results[kind.ToolResult.GetCallId()]++
		case *eventv1.Event_AgentMessage:
			for _, call := range kind.AgentMessage.GetToolCalls() {
				calls = append(calls, call.GetCallId())
			}
		}
	}

	for _, call := range calls {
		if results[call] != 1 {
			add("call %s has %d results, want 1", call, results[call])
		}
	}

	if ends != turns {
		add("%d turns have %d ends", turns, ends)
	}

	return problems
}

func isHandoff(event *eventv1.Event) bool { return event.GetHandoff() != nil }
func isEnd(event *eventv1.Event) bool {
	return event.GetTurnCompleted() != nil || event.GetTurnFailed() != nil || event.GetTurnCancelled() != nil
}

// pendingRefund sends the complaint and returns the conversation and the call that waits for approval.
func pendingRefund(t *testing.T, p *testPlatform) (conversation, call string) {
	t.Helper()

	conversation = p.newConversation()
	turn := p.send(conversation, chargedTwice)

	return conversation, pendingCall(t, p, conversation, turn)
}

func pendingCall(t *testing.T, p *testPlatform, conversation string, turn *conversationv1.Turn) string {
	t.Helper()

	if turn.GetState() != conversationv1.TurnState_TURN_STATE_INPUT_REQUIRED || len(turn.GetPendingInputs()) != 1 {
		t.Fatalf("turn is %v, want one approval to be asked for; the log:\n%s", turn, transcript(p.events(conversation)))
	}

	return turn.GetPendingInputs()[0].GetCallId()
}

// A user is charged twice; billing dies between the approval and the refund; the refund happens once; the client whose
// stream was cut resumes and has every durable event exactly once.
func TestRefundSurvivesKillBetweenApprovalAndToolCall(t *testing.T) {
	p := startPlatform(t, raced(t))
	conversation := p.newConversation()
	path := "/v1/conversations/" + conversation

	seen := []int64{}
	see := func(enough func(*eventv1.Event) bool) func(int64, *eventv1.Event) bool {
		return func(id int64, event *eventv1.Event) bool {
			if id != event.GetSequence() {
				t.Errorf("frame id %d holds sequence %d", id, event.GetSequence())
			}

			if id > 0 {
				seen = append(seen, id)
			}

			return !enough(event)
		}
	}

	// The client is cut at the handoff, in the middle of the turn.
	p.stream(http.MethodPost, path+"/messages", map[string]any{"text": chargedTwice}, 0, see(isHandoff))

	asked := p.waitFor(conversation, "question", func(event *eventv1.Event) bool { return event.GetInputRequested() != nil })
	p.waitFor(conversation, "turn_waiting", func(event *eventv1.Event) bool { return event.GetTurnWaiting() != nil })

	p.crashAt("billing AcquireLease after 1")
	p.resolve(conversation, asked.GetInputRequested().GetCallId(), "approve")

	// The client comes back with the last id that it has.
	p.stream(http.MethodGet, path+"/events", nil, seen[len(seen)-1], see(isEnd))

	if !p.crashed() {
		t.Fatal("billing did not die")
	}

	events := p.events(conversation)
	checkLog(t, events)

	// Streams begin with the turn; what came before it is not theirs.
	for i, id := range seen {
		if id != seen[0]+int64(i) {
			t.Fatalf("durable events came as %v: not each exactly once", seen)
		}
	}

	if seen[len(seen)-1] != int64(len(events)) {
		t.Errorf("the client saw up to %d, the log ends at %d", seen[len(seen)-1], len(events))
	}

	if refunds := p.refunds(); !slices.Equal(refunds, []string{asked.GetInputRequested().GetCallId()}) {
		t.Errorf("refunds %v, want exactly the approved call", refunds)
	}

	last := events[len(events)-1].GetTurnCompleted()
	if last == nil || last.GetText() == "" {
		t.Errorf("the turn did not end with an answer:\n%s", transcript(events))
	}
}

// Agents are killed before and after each of their appends; the turn always ends once, with one result per call.
func TestTurnSurvivesKillAtEveryAppend(t *testing.T) {
	underLoad(t)

	p := startPlatform(t)

	for _, agent := range []string{"triage", "billing"} {
		for _, when := range []string{"before", "after"} {
			for n := 1; ; n++ {
				if n > 40 {
					t.Fatalf("%s appends endlessly", agent)
				}

				point := fmt.Sprintf("%s Append %s %d", agent, when, n)
				reached := true

				t.Run(strings.ReplaceAll(point, " ", "_"), func(t *testing.T) {
					reached = runWithCrash(t, p, point)
				})

				if !reached {
					break
				}
			}
		}
	}
}

// runWithCrash runs the refund conversation while a crash is armed, and reports whether the crash happened.
func runWithCrash(t *testing.T, p *testPlatform, point string) bool {
	t.Helper()

	p.forgetRefunds() // the demo refunds an invoice only once
	p.crashAt(point)

	conversation, call := pendingRefund(t, p)
	p.resolve(conversation, call, "approve")
	p.waitFor(conversation, "end of the turn", isEnd)

	reached := p.crashed()

	checkLog(t, p.events(conversation))

	if refunds := p.refunds(); !slices.Equal(refunds, []string{call}) {
		t.Errorf("refunds %v, want exactly %s", refunds, call)
	}

	return reached
}

func TestGatewayKilledInTheMiddleOfATurn(t *testing.T) {
	p := startPlatform(t)
	conversation := p.newConversation()

	p.stream(http.MethodPost, "/v1/conversations/"+conversation+"/messages", map[string]any{"text": chargedTwice}, 0,
		func(_ int64, event *eventv1.Event) bool {
			if event.GetStepStarted() != nil {
				p.kill("serin-gateway")

				return false
			}

			return true
		})

	asked := p.waitFor(conversation, "question", func(event *eventv1.Event) bool { return event.GetTurnWaiting() != nil })
	p.resolve(conversation, asked.GetTurnWaiting().GetCallIds()[0], "approve")
	p.waitFor(conversation, "end of the turn", isEnd)
	checkLog(t, p.events(conversation))
}

// The tools process dies after the effect and before its result was recorded: nobody can tell whether the refund
// happened, so it is not run again and a person is asked.
func TestToolsKilledBetweenClaimAndResult(t *testing.T) {
	p := startPlatform(t)
	conversation, call := pendingRefund(t, p)

	p.crashAt("serin-tools CompleteCall before 1")
	p.resolve(conversation, call, "approve")

	asked := p.waitFor(conversation, "question about the outcome", func(event *eventv1.Event) bool {
		return event.GetInputRequested().GetKind() == eventv1.InputRequested_KIND_OUTCOME
	})
	if asked.GetInputRequested().GetCallId() != call {
		t.Errorf("asked about %s, want %s", asked.GetInputRequested().GetCallId(), call)
	}

	p.waitFor(conversation, "second wait", func(event *eventv1.Event) bool {
		return event.GetTurnWaiting() != nil && event.GetSequence() > asked.GetSequence()
	})
	p.resolve(conversation, call, "happened")
	p.waitFor(conversation, "end of the turn", isEnd)
	checkLog(t, p.events(conversation))

	if refunds := p.refunds(); len(refunds) != 1 {
		t.Errorf("refunds %v, want one", refunds)
	}
}

// A tool that may run again does, with the same call id, and nobody is asked.
func TestIdempotentToolRunsAgainAfterKill(t *testing.T) {
	p := startPlatform(t)
	p.crashAt("serin-tools CompleteCall before 1")

	conversation, _ := pendingRefund(t, p)
	if !p.crashed() {
		t.Fatal("tools did not die")
	}

	for _, event := range p.events(conversation) {
		if event.GetInputRequested().GetKind() == eventv1.InputRequested_KIND_OUTCOME {
			t.Errorf("a person was asked about an idempotent tool: %v", event)
		}
	}
}

func TestSecondMessageIsRefusedWhileATurnRuns(t *testing.T) {
	p := startPlatform(t)
	conversation, call := pendingRefund(t, p)

	status, body := p.call(http.MethodPost, "/v1/conversations/"+conversation+"/messages", map[string]any{"text": "Hello?"})
	if status != http.StatusConflict || !strings.Contains(string(body), "TURN_IN_PROGRESS") {
		t.Errorf("second message: %d %s, want 409 TURN_IN_PROGRESS", status, body)
	}

	p.resolve(conversation, call, "reject")

	if end := p.waitFor(conversation, "end of the turn", isEnd); end.GetTurnCompleted() == nil {
		t.Errorf("after a rejection the turn ended with %v", end)
	}

	if refunds := p.refunds(); len(refunds) != 0 {
		t.Errorf("a rejected refund was made: %v", refunds)
	}
}

func TestCancelWhileAToolRuns(t *testing.T) {
	p := startPlatform(t, func(config *app.PlatformConfig) { config.DemoDelay = "20s" })
	conversation, call := pendingRefund(t, p)
	p.resolve(conversation, call, "approve")
	p.waitFor(conversation, "start of the refund", func(event *eventv1.Event) bool {
		return event.GetToolStarted().GetCallId() == call
	})

	if status, body := p.call(http.MethodPost, "/v1/conversations/"+conversation+":cancel", map[string]any{"reason": "changed my mind"}); status != http.StatusOK {
		t.Fatalf("cancel: %d %s", status, body)
	}

	end := p.waitFor(conversation, "end of the turn", isEnd)
	if end.GetTurnCancelled().GetReason() != "changed my mind" {
		t.Errorf("the turn ended with %v, want it cancelled with the reason", end)
	}
}

// A turn that waits for a human survives a restart of everything.
func TestApprovalSurvivesRestart(t *testing.T) {
	p := startPlatform(t)
	conversation, call := pendingRefund(t, p)

	p.stop()
	p.start()
	p.resolve(conversation, call, "approve")

	if end := p.waitFor(conversation, "end of the turn", isEnd); end.GetTurnCompleted() == nil {
		t.Errorf("the turn ended with %v", end)
	}

	checkLog(t, p.events(conversation))
}
