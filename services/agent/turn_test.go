package agent

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
	handoffv1 "github.com/serinhq/serin/gen/serin/handoff/v1"
	"github.com/serinhq/serin/internal/agentspec"
	"github.com/serinhq/serin/internal/fault"
	"github.com/serinhq/serin/internal/telemetry"
)

func says(text ...string) func(modelAsked) modelReply {
	return func(modelAsked) modelReply { return modelReply{text: text} }
}

// calling makes the model call first, and answer with text once it has the results.
func calling(text string, calls ...modelCall) func(modelAsked) modelReply {
	return func(asked modelAsked) modelReply {
		if asked.answered() {
			return modelReply{text: []string{text}}
		}

		return modelReply{calls: calls}
	}
}

func with(agent agentspec.Agent, tools ...string) agentspec.Agent {
	for _, tool := range tools {
		agent.Spec.Tools = append(agent.Spec.Tools, agentspec.Tool{Name: tool})
	}

	return agent
}

func to(agent agentspec.Agent, others ...string) agentspec.Agent {
	for _, other := range others {
		agent.Spec.Handoffs = append(agent.Spec.Handoffs, agentspec.Handoff{Agent: other})
	}

	return agent
}

func lastEvent(t *testing.T, w *world) *eventv1.Event {
	t.Helper()

	events, _, _ := w.store.snapshot()

	return events[len(events)-1]
}

func TestPlainAnswer(t *testing.T) {
	w := newWorld(t, says("Good ", "day!"))
	agent := spec("triage")
	agent.Spec.Model.Fallbacks = []string{"other"}
	w.start(agent)
	w.begin("triage", "Hello")

	var streamed []*eventv1.Event

	finished, err := w.handoff("triage", &streamed)
	if err != nil || finished.GetOutcome() != handoffv1.Finished_OUTCOME_COMPLETED {
		t.Fatalf("%v, %v", finished, err)
	}

	w.expect("turn_accepted", "segment_started triage", "step_started", `agent_message triage: "Good day!"`, "turn_completed")
	w.verify()

	events, _, _ := w.store.snapshot()
	said := events[3].GetAgentMessage()

	if !said.GetSimulated() || said.GetProvider() != "script" || said.GetModel() != "script-1" ||
		said.GetUsage().GetInputTokens() != 10 || said.GetFinishReason() != "stop" {
		t.Errorf("message %v", said)
	}

	if events[3].GetRevision() != "abababababab" || events[3].GetSegment() != 1 || events[3].GetStep() != 1 {
		t.Errorf("stamped %v", events[3])
	}

	durable := slices.DeleteFunc(describeLog(streamed), func(line string) bool { return line == "text_delta" })
	if want := w.log()[1:]; !slices.Equal(durable, want) {
		t.Errorf("streamed %v, want %v", durable, want)
	}

	if asked := w.model.asked()[0]; asked.Agent != "triage" || !slices.Equal(asked.Models, []string{"other"}) || asked.MaxTokens != 100 {
		t.Errorf("asked %+v", asked)
	}
}

func TestSecondTurnKnowsTheFirst(t *testing.T) {
	w := newWorld(t, func(asked modelAsked) modelReply {
		return modelReply{text: []string{fmt.Sprintf("I saw %d messages", len(asked.Messages))}}
	})
	w.start(spec("triage"))

	for range 2 {
		w.begin("triage", "Hello")
		w.drive()
	}

	if text := lastEvent(t, w).GetTurnCompleted().GetText(); text != "I saw 4 messages" {
		t.Error(text)
	}
}

func TestParallelToolsKeepTheirOrder(t *testing.T) {
	w := newWorld(t, calling("Done.", modelCall{"lookup", `{"id":1}`}, modelCall{"clock", `{}`}))
	held := make(chan struct{})
	w.tools.wait["lookup"] = held
	w.start(with(spec("billing"), "lookup", "clock"))
	w.begin("billing", "Hello")

	go func() { _, _ = w.handoff("billing") }()

	w.eventually("the second call ends first", func() bool { return slices.Contains(w.log(), "tool_result clock OUTCOME_OK") })
	close(held)
	w.drive()
	w.verify()

	prompt := w.model.asked()[1].Messages
	if got := []string{prompt[3].Content, prompt[4].Content}; !slices.Equal(got, []string{"lookup done", "clock done"}) {
		t.Errorf("results %v", got)
	}
}

func TestCallsThatNoToolCanRun(t *testing.T) {
	w := newWorld(t, calling("Done.", modelCall{"lookup", `{"id":`}, modelCall{"nosuch", `{}`}, modelCall{"clock", ``}))
	w.tools.busy = 2
	w.start(with(spec("billing"), "lookup", "clock"))
	w.begin("billing", "Hello")
	w.drive()
	w.verify()
	w.expect("turn_accepted", "segment_started billing", "step_started", `agent_message billing: "" lookup nosuch clock`,
		"tool_result lookup OUTCOME_ERROR", "tool_result nosuch OUTCOME_ERROR", "tool_started", "tool_result clock OUTCOME_OK",
		"step_started", `agent_message billing: "Done."`, "turn_completed")
}

func TestACutCallNeverRuns(t *testing.T) {
	w := newWorld(t, func(asked modelAsked) modelReply {
		if asked.answered() {
			return modelReply{text: []string{"Done."}}
		}

		return modelReply{calls: []modelCall{{"lookup", `{}`}, {"clock", `{}`}}, finish: "length"}
	})
	w.start(with(spec("billing"), "lookup", "clock"))
	w.begin("billing", "Hello")
	w.drive()
	w.verify()
	w.expect("turn_accepted", "segment_started billing", "step_started", `agent_message billing: "" lookup clock`,
		"tool_result clock OUTCOME_ERROR", "tool_started", "tool_result lookup OUTCOME_OK",
		"step_started", `agent_message billing: "Done."`, "turn_completed")

	if read := w.model.asked()[1].last(); !strings.Contains(read, "cut at 100 tokens") {
		t.Errorf("the model read %q", read)
	}
}

func TestHandoff(t *testing.T) {
	w := newWorld(t, func(asked modelAsked) modelReply {
		if asked.Agent == "billing" {
			return modelReply{text: []string{"Paid back."}}
		}

		if tool := asked.Tools[0].Function; tool.Name != "handoff_to_billing" || tool.Description != "knows invoices" {
			t.Errorf("tool %+v", tool)
		}

		return modelReply{text: []string{"Let me pass you on."}, calls: []modelCall{{"handoff_to_billing", `{"reason":"an invoice"}`}}}
	})
	w.store.grace = time.Minute // nothing but the handing agent's call makes the next one go on in time
	w.start(to(spec("triage"), "billing"))
	w.start(spec("billing"))
	w.begin("triage", "Charged twice")

	finished, err := w.handoff("triage")
	if err != nil || finished.GetOutcome() != handoffv1.Finished_OUTCOME_HANDED_OFF || finished.GetNextAgent() != "billing" {
		t.Fatalf("%v, %v", finished, err)
	}

	w.drive()
	w.verify()
	w.expect("turn_accepted", "segment_started triage", "step_started",
		`agent_message triage: "Let me pass you on." handoff_to_billing`, "tool_result handoff_to_billing OUTCOME_OK", "handoff",
		"segment_started billing", "step_started", `agent_message billing: "Paid back."`, "turn_completed")

	events, _, _ := w.store.snapshot()
	if handoff := events[5].GetHandoff(); handoff.GetTaskDigest() == "" || handoff.GetRemaining().GetSteps() != 15 ||
		handoff.GetContextDigest() != digest(fold(nil, events[:6]).prompt("billing")) {
		t.Errorf("handoff %v", handoff)
	}

	if steps := lastEvent(t, w).GetTurnCompleted().GetSteps(); steps != 2 {
		t.Errorf("%d steps", steps)
	}
}

func TestHandoffsThatGoInCircles(t *testing.T) {
	for name, test := range map[string]struct {
		reason string
		want   string
	}{
		"cycle": {reason: "the same", want: reasonCycle},
		"hops":  {reason: "", want: reasonHops},
	} {
		t.Run(name, func(t *testing.T) {
			count := 0
			w := newWorld(t, func(asked modelAsked) modelReply {
				other := map[string]string{"triage": "billing", "billing": "triage"}[asked.Agent]
				count++
				reason := test.reason
				if reason == "" {
					reason = fmt.Sprint("reason ", count)
				}

				return modelReply{calls: []modelCall{{"handoff_to_" + other, fmt.Sprintf(`{"reason":%q}`, reason)}}}
			})
			w.start(to(spec("triage"), "billing"))
			w.start(to(spec("billing"), "triage"))
			w.begin("triage", "Charged twice")
			w.drive()
			w.verify()

			if reason := lastEvent(t, w).GetTurnFailed().GetReason(); reason != test.want {
				t.Errorf("failed with %s, want %s", reason, test.want)
			}
		})
	}
}

func TestApproval(t *testing.T) {
	for decision, want := range map[eventv1.Decision]string{
		eventv1.Decision_DECISION_APPROVE: "tool_result refund OUTCOME_OK",
		eventv1.Decision_DECISION_REJECT:  "tool_result refund OUTCOME_REJECTED",
	} {
		t.Run(decision.String(), func(t *testing.T) {
			w := newWorld(t, calling("Done.", modelCall{"refund", `{"id":1}`}, modelCall{"lookup", `{}`}))
			agent := with(spec("billing"), "billing_*", "lookup")
			first := w.start(agent)
			w.begin("billing", "Refund")

			finished, err := w.handoff("billing")
			if err != nil || finished.GetOutcome() != handoffv1.Finished_OUTCOME_INPUT_REQUIRED {
				t.Fatalf("%v, %v", finished, err)
			}

			first.stop() // the wait survives a restart
			w.start(agent)
			w.store.resolve(decision, 0)
			w.drive()
			w.verify()

			if log := w.log(); !slices.Contains(log, want) || !slices.Contains(log, "segment_resumed") {
				t.Errorf("log %v", log)
			}
		})
	}
}

func TestCancelReachesTheProvider(t *testing.T) {
	w := newWorld(t, func(modelAsked) modelReply { return modelReply{text: []string{"I am thinking"}, hang: true} })
	w.start(spec("triage"))
	w.begin("triage", "Hello")

	done := make(chan *handoffv1.Finished, 1)

	go func() {
		finished, _ := w.handoff("triage")
		done <- finished
	}()

	w.eventually("the model is asked", func() bool { return len(w.model.asked()) == 1 })

	asked := time.Now()
	w.store.requestCancel("ann")

	if finished := <-done; finished.GetOutcome() != handoffv1.Finished_OUTCOME_CANCELLED {
		t.Errorf("finished %v", finished)
	}

	if took := time.Since(asked); took > 2*time.Second {
		t.Errorf("it took %v", took)
	}

	w.verify()

	if cancelled := lastEvent(t, w).GetTurnCancelled(); cancelled.GetBy() != "ann" || cancelled.GetReason() != "enough" {
		t.Errorf("cancelled %v", cancelled)
	}
}

func TestCancelWhileAToolRuns(t *testing.T) {
	w := newWorld(t, func(asked modelAsked) modelReply {
		if asked.last() == "Look" {
			return modelReply{calls: []modelCall{{"lookup", `{}`}}}
		}

		return modelReply{text: []string{"Done."}}
	})
	w.tools.wait["lookup"] = make(chan struct{})
	w.start(with(spec("billing"), "lookup"))
	w.begin("billing", "Look")

	go func() { _, _ = w.handoff("billing") }()

	w.eventually("the tool runs", func() bool { return slices.Contains(w.log(), "tool_started") })
	w.store.requestCancel("ann")

	if turn := w.drive(); turn.GetStatus() != contextv1.TurnStatus_TURN_STATUS_CANCELLED {
		t.Errorf("turn %v", turn)
	}

	w.verify()

	w.begin("billing", "And?")
	w.drive()

	if read := w.model.asked()[1].Messages[3].Content; read != underway {
		t.Errorf("the model read %q of the call", read)
	}
}

func TestStaleEpochStopsSilently(t *testing.T) {
	w := newWorld(t, func(modelAsked) modelReply { return modelReply{text: []string{"I am thinking"}, hang: true} })
	w.start(spec("triage"))
	w.begin("triage", "Hello")

	done := make(chan *handoffv1.Finished, 1)

	go func() {
		finished, _ := w.handoff("triage")
		done <- finished
	}()

	w.eventually("the model is asked", func() bool { return len(w.model.asked()) == 1 })
	w.store.steal()

	if finished := <-done; finished.GetOutcome() != handoffv1.Finished_OUTCOME_SUPERSEDED {
		t.Errorf("finished %v", finished)
	}

	w.expect("turn_accepted", "segment_started triage", "step_started")
}

// TestADeletedConversationIsLeft has the conversation be deleted under the turn: what is left to write is not tried again.
func TestADeletedConversationIsLeft(t *testing.T) {
	var log bytes.Buffer

	w := newWorld(t, nil)
	w.model.script = func(asked modelAsked) modelReply {
		w.store.update(func() { w.store.deleted = true })

		return calling("Done.", modelCall{"lookup", `{}`})(asked)
	}
	w.start(with(spec("triage"), "lookup"), func(config *Config) {
		config.Telemetry = telemetry.Discard()
		config.Telemetry.Logger = slog.New(slog.NewTextHandler(&log, nil))
	})
	w.begin("triage", "Hello")

	if finished, _ := w.handoff("triage"); finished.GetOutcome() != handoffv1.Finished_OUTCOME_SUPERSEDED {
		t.Errorf("finished %v", finished)
	}

	if strings.Count(log.String(), "\n") != 1 || !strings.Contains(log.String(), "msg=superseded") {
		t.Errorf("the log says:\n%s", log.String())
	}
}

func TestASecondHandoffJoins(t *testing.T) {
	release := make(chan struct{})
	w := newWorld(t, func(modelAsked) modelReply {
		<-release

		return modelReply{text: []string{"Hi"}}
	})
	w.start(spec("triage"))
	w.begin("triage", "Hello")

	_, turn, _ := w.store.snapshot()

	client, err := w.client(w.gateway, "triage")
	if err != nil {
		t.Fatal(err)
	}

	streams := make([]grpc.ServerStreamingClient[handoffv1.HandoffResponse], 0, 2)

	for range 2 {
		stream, err := client.Handoff(t.Context(), &handoffv1.HandoffRequest{
			ConversationId: conversation, TurnId: turn.GetTurnId(), ToAgent: "triage",
		})
		if err != nil {
			t.Fatal(err)
		}

		if report, err := stream.Recv(); err != nil || report.GetAccepted().GetEpoch() != 2 {
			t.Fatalf("report %v, %v", report, err)
		}

		streams = append(streams, stream)
	}

	close(release)

	for _, stream := range streams {
		report, err := stream.Recv()
		if err != nil || report.GetFinished().GetOutcome() != handoffv1.Finished_OUTCOME_COMPLETED {
			t.Errorf("report %v, %v", report, err)
		}
	}

	if len(w.model.asked()) != 1 {
		t.Errorf("the model was asked %d times", len(w.model.asked()))
	}

	w.verify()
}

func TestLeaseHeldByAnotherProcess(t *testing.T) {
	w := newWorld(t, func(modelAsked) modelReply { return modelReply{hang: true} })
	first := w.start(spec("triage"))
	w.begin("triage", "Hello")

	go func() { _, _ = w.handoff("triage") }()

	w.eventually("the model is asked", func() bool { return len(w.model.asked()) == 1 })

	t.Cleanup(first.stop)
	w.start(spec("triage"))

	if _, err := w.handoff("triage"); !fault.Is(err, "LEASE_HELD") {
		t.Errorf("error %v, want LEASE_HELD", err)
	}
}

func TestProviderErrors(t *testing.T) {
	for name, test := range map[string]struct {
		reply modelReply
		want  string
	}{
		"refused": {
			modelReply{status: http.StatusUnauthorized, error: "Incorrect API key provided: sk-abcdefgh12345."},
			`the model "default" did not answer: Incorrect API key provided: [hidden] (HTTP 401, oops)`,
		},
		"cut": {
			modelReply{text: []string{"Half an"}, cut: true},
			`the model "default" did not answer: the answer was cut off in the middle`,
		},
		"in the stream": {
			modelReply{text: []string{"Half an"}, inBand: "overloaded"}, `the model "default" did not answer: overloaded`,
		},
		"too long": {
			modelReply{text: []string{"Half an"}, finish: "length"}, "the answer was cut at 100 tokens (spec.model.maxOutputTokens)",
		},
		"too long before it began": {
			modelReply{finish: "length"}, "the answer was cut at 100 tokens (spec.model.maxOutputTokens)",
		},
		"withheld": {
			modelReply{text: []string{"Half an"}, finish: "content_filter"}, "the provider withheld the answer (content_filter)",
		},
		"nothing": {modelReply{}, "the model answered with nothing, twice; try again or ask differently"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, func(modelAsked) modelReply { return test.reply })
			w.start(spec("triage"))
			w.begin("triage", "Hello")
			w.drive()
			w.verify()

			failed := lastEvent(t, w).GetTurnFailed()
			if failed.GetReason() != reasonProvider || failed.GetMessage() != test.want {
				t.Errorf("failed %v, want %s", failed, test.want)
			}
		})
	}
}

func TestGuardrails(t *testing.T) {
	words := []agentspec.Guardrail{{Name: "no-lottery", Words: []string{"lottery"}, Message: "We do not talk about that."}}

	t.Run("input", func(t *testing.T) {
		w := newWorld(t, says("Hi"))
		agent := spec("triage")
		agent.Spec.Guardrails.Input = words
		w.start(agent)
		w.begin("triage", "The LOTTERY, please")
		w.drive()
		w.verify()
		w.expect("turn_accepted", "segment_started triage", "guardrail_triggered",
			"turn_failed GUARDRAIL_BLOCKED: We do not talk about that.")

		if len(w.model.asked()) != 0 {
			t.Error("the model was asked")
		}
	})

	t.Run("output", func(t *testing.T) {
		w := newWorld(t, func(modelAsked) modelReply {
			return modelReply{text: []string{"Play the ", strings.Repeat("great ", 300), "lottery"}, pause: 20 * time.Millisecond}
		})
		agent := spec("triage")
		agent.Spec.Guardrails.Output = words
		w.start(agent)
		w.begin("triage", "Hi")
		w.drive()
		w.verify()

		if log := strings.Join(w.log(), "\n"); strings.Contains(log, "message") || !strings.Contains(log, "GUARDRAIL_BLOCKED") {
			t.Errorf("log %s", log)
		}

		if len(w.store.shown) != 0 {
			t.Error("text was shown before it had passed the guardrails")
		}
	})
}

func TestBudget(t *testing.T) {
	w := newWorld(t, calling("never", modelCall{"lookup", `{}`}))
	agent := with(spec("billing"), "lookup")
	agent.Spec.Budgets.Steps = 1
	w.start(agent)
	w.begin("billing", "Look")
	w.drive()
	w.verify()

	if failed := lastEvent(t, w).GetTurnFailed(); failed.GetReason() != reasonBudget || failed.GetUsage().GetInputTokens() != 10 {
		t.Errorf("failed %v", failed)
	}
}

func TestDeadline(t *testing.T) {
	w := newWorld(t, func(modelAsked) modelReply { return modelReply{hang: true} })
	agent := spec("triage")
	agent.Spec.Budgets.Deadline = agentspec.Duration(100 * time.Millisecond)
	w.start(agent)
	w.begin("triage", "Hello")
	w.drive()
	w.verify()

	if failed := lastEvent(t, w).GetTurnFailed(); failed.GetReason() != reasonDeadline {
		t.Errorf("failed %v", failed)
	}
}

func TestDrain(t *testing.T) {
	w := newWorld(t, func(asked modelAsked) modelReply {
		return modelReply{hang: asked.last() == "Hang", text: []string{"Hi"}}
	})
	first := w.start(spec("triage"))
	w.begin("triage", "Hang")

	done := make(chan *handoffv1.Finished, 1)

	go func() {
		finished, _ := w.handoff("triage")
		done <- finished
	}()

	w.eventually("the model is asked", func() bool { return len(w.model.asked()) == 1 })

	if active := first.service.ActiveSegments(); active != 1 {
		t.Errorf("%d active", active)
	}

	grace, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()

	if err := first.service.Drain(grace); err == nil {
		t.Error("nothing was given back")
	}

	if finished := <-done; finished.GetOutcome() != handoffv1.Finished_OUTCOME_SUPERSEDED {
		t.Errorf("finished %v", finished)
	}

	if _, ok := w.store.resumable(); !ok {
		t.Error("the turn can't be resumed at once")
	}

	if _, err := w.handoff("triage"); !fault.Is(err, "DRAINING") {
		t.Errorf("error %v, want DRAINING", err)
	}

	first.stop()
}

func TestBusy(t *testing.T) {
	w := newWorld(t, func(modelAsked) modelReply { return modelReply{hang: true} })
	agent := spec("triage")
	agent.Spec.Scaling.MaxConcurrentSegments = 1
	p := w.start(agent)
	w.begin("triage", "Hello")

	go func() { _, _ = w.handoff("triage") }()

	w.eventually("the model is asked", func() bool { return len(w.model.asked()) == 1 })

	_, _, err := p.service.reserve(&handoffv1.HandoffRequest{TurnId: "another"})
	if !fault.Is(err, "AGENT_BUSY") || fault.From(err).RetryAfter == 0 {
		t.Errorf("error %v, want AGENT_BUSY", err)
	}
}

func TestWhoMayHandOff(t *testing.T) {
	w := newWorld(t, says("Hi"))
	w.start(spec("triage"))
	w.begin("triage", "Hello")

	for name, test := range map[string]struct {
		peer, from, to string
		want           string
	}{
		"a stranger":            {"scheduling", "scheduling", "triage", "HANDOFF_NOT_ALLOWED"},
		"another's name":        {"billing", "triage", "triage", "HANDOFF_NOT_ALLOWED"},
		"nobody's name":         {"billing", "", "triage", "HANDOFF_NOT_ALLOWED"},
		"meant for another":     {"billing", "billing", "billing", "WRONG_AGENT"},
		"the gateway as itself": {"serin-gateway", "billing", "triage", "HANDOFF_NOT_ALLOWED"},
	} {
		t.Run(name, func(t *testing.T) {
			caller := &process{world: w, name: test.peer}
			defer caller.disconnect()

			client, err := w.client(caller, "triage")
			if err != nil {
				t.Fatal(err)
			}

			stream, err := client.Handoff(t.Context(), &handoffv1.HandoffRequest{TurnId: "t", FromAgent: test.from, ToAgent: test.to})
			if err == nil {
				_, err = stream.Recv()
			}

			if !fault.Is(err, test.want) {
				t.Errorf("error %v, want %s", err, test.want)
			}
		})
	}
}

func TestMessageParts(t *testing.T) {
	w := newWorld(t, func(modelAsked) modelReply {
		return modelReply{text: slices.Repeat([]string{strings.Repeat("word ", 100)}, 6), pause: 30 * time.Millisecond}
	})
	w.start(spec("triage"))
	w.begin("triage", "Hello")
	w.drive()
	w.verify()

	events, _, _ := w.store.snapshot()

	var kept strings.Builder

	parts := 0

	for _, event := range events {
		if part := event.GetMessagePart(); part != nil {
			parts++

			if part.GetOffset() != int64(kept.Len()) {
				t.Errorf("a part begins at %d, want %d", part.GetOffset(), kept.Len())
			}

			kept.WriteString(part.GetText())
		}
	}

	if whole := lastEvent(t, w).GetTurnCompleted().GetText(); parts < 2 || !strings.HasPrefix(whole, kept.String()) {
		t.Errorf("%d parts, %d of %d bytes", parts, kept.Len(), len(whole))
	}

	if len(w.store.shown) == 0 {
		t.Error("no deltas")
	}
}

func TestCheckpoint(t *testing.T) {
	w := newWorld(t, func(asked modelAsked) modelReply {
		return modelReply{text: []string{fmt.Sprintf("I saw %d messages", len(asked.Messages))}}
	})
	w.start(spec("triage"))

	for range 60 {
		w.begin("triage", "Hello")
		w.drive()
	}

	w.eventually("a checkpoint is saved", func() bool {
		w.store.mu.Lock()
		defer w.store.mu.Unlock()

		return w.store.saved != nil
	})

	if text := lastEvent(t, w).GetTurnCompleted().GetText(); text != "I saw 120 messages" {
		t.Error(text)
	}
}

// heldSave is a store that saves a checkpoint only when it is let.
type heldSave struct {
	contextv1.ContextServiceClient

	let, saved chan struct{}
	limit      chan time.Duration
}

func (h heldSave) SaveCheckpoint(
	ctx context.Context, request *contextv1.SaveCheckpointRequest, opts ...grpc.CallOption,
) (*contextv1.SaveCheckpointResponse, error) {
	deadline, _ := ctx.Deadline()
	h.limit <- time.Until(deadline)

	<-h.let
	defer close(h.saved)

	return h.ContextServiceClient.SaveCheckpoint(ctx, request, opts...)
}

// TestCheckpointBesideTheSegment saves a checkpoint while the segment goes on; with -race it tells what both touch.
func TestCheckpointBesideTheSegment(t *testing.T) {
	held := heldSave{let: make(chan struct{}), saved: make(chan struct{}), limit: make(chan time.Duration, 1)}
	w := newWorld(t, func(modelAsked) modelReply {
		close(held.let) // the segment is well beyond its beginning
		<-held.saved    // and holds the lease that saving needs

		return modelReply{text: []string{"Hi"}}
	})
	w.start(spec("triage"), func(config *Config) {
		held.ContextServiceClient = config.Context
		config.Context = held
	})

	w.begin("triage", "Hello")
	w.store.update(func() {
		for range checkpointAfter + 1 {
			w.store.log(&eventv1.Event{Kind: &eventv1.Event_FeedbackGiven{FeedbackGiven: &eventv1.FeedbackGiven{}}})
		}

		w.store.log(&eventv1.Event{Kind: &eventv1.Event_TurnCompleted{TurnCompleted: &eventv1.TurnCompleted{}}})
	})
	w.begin("triage", "Hello again")
	w.drive()

	if limit := <-held.limit; limit <= 0 || limit > saveTimeout {
		t.Errorf("saving may take %v", limit)
	}

	if covers := w.store.saved.GetSequence(); covers <= checkpointAfter {
		t.Errorf("the checkpoint covers %d events", covers)
	}
}
