package agent

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
	handoffv1 "github.com/serinhq/serin/gen/serin/handoff/v1"
	"github.com/serinhq/serin/internal/agentspec"
	"github.com/serinhq/serin/internal/telemetry"
)

// advice is a rule about legal advice.
func advice(classifier *agentspec.Classifier) []agentspec.Guardrail {
	return []agentspec.Guardrail{{
		Name: "no-advice", Classifier: classifier, Message: "Ask a lawyer.",
		Topics: []agentspec.Topic{{Name: "legal", Description: "Advice about law.", Examples: []string{"May I sue?"}}, {Name: "tax", Description: "Taxes."}},
	}}
}

// deciding answers classifiers with one text, and the agent's requests by another script.
func deciding(decision modelReply, script func(modelAsked) modelReply) func(modelAsked) modelReply {
	return func(asked modelAsked) modelReply {
		if asked.classifies() {
			return decision
		}

		return script(asked)
	}
}

func saying(text string) modelReply { return modelReply{text: []string{text}} }

func TestTopicsAllowed(t *testing.T) {
	w := priced(t, knownPrices, deciding(modelReply{text: []string{`{"topics"`, `:[]}`}, cost: "0.0002"}, says("Yes.")))
	agent := hiding(frugal(spec("billing"), "0.01"), "restored")
	agent.Spec.Model.Fallbacks = []string{"other"}
	agent.Spec.Guardrails.Input = advice(&agentspec.Classifier{Model: "small", MaxTokens: 99})
	w.start(agent)
	w.begin("billing", "I am "+mail+". Is it paid?")
	w.drive()
	w.verify()
	w.neverRead(mail)
	w.expect("turn_accepted", "segment_started billing", "guardrail_applied no-advice CHECKED: allowed", "step_started",
		"guardrail_applied redaction REDACTED: hidden in the turn so far: 1 email", `agent_message billing: "Yes."`, "turn_completed")

	asked := w.model.asked()[0]
	if asked.Model != "small" || len(asked.Models) > 0 || asked.MaxTokens != 99 || len(asked.Tools) > 0 ||
		asked.Messages[1].Content != `{"text":"I am [EMAIL_1]. Is it paid?"}` || !strings.Contains(asked.Messages[0].Content, "May I sue?") ||
		!strings.Contains(string(asked.Format.Schema.Schema), `"enum":["legal","tax"]`) {
		t.Errorf("asked %s", asked.body)
	}

	checked := w.applied(eventv1.GuardrailApplied_ACTION_CHECKED)[0]
	if checked.GetUsage().GetCostMicros() != 200 || checked.GetModel() != "script-1" {
		t.Errorf("checked %v", checked)
	}

	if usage := lastEvent(t, w).GetTurnCompleted().GetUsage(); usage.GetInputTokens() != 20 || usage.GetCostMicros() != 200 {
		t.Errorf("used %v", usage)
	}
}

func TestTopicsDenied(t *testing.T) {
	w := newWorld(t, deciding(saying(`{"topics":["legal"]}`), calling("never", modelCall{"lookup", `{}`})))
	agent := with(spec("billing"), "lookup")
	agent.Spec.Guardrails.Input = advice(nil)
	w.start(agent)
	w.begin("billing", "May I sue you?")
	w.drive()
	w.verify()
	w.expect("turn_accepted", "segment_started billing", "guardrail_applied no-advice CHECKED: denied: legal", "guardrail_triggered",
		"turn_failed GUARDRAIL_BLOCKED: Ask a lawyer.")

	if len(w.model.asked()) != 1 || len(w.tools.started) > 0 {
		t.Errorf("%d requests, tools %v", len(w.model.asked()), w.tools.started)
	}
}

// TestUndecided has the classifier fail in every way, in front of rules that are closed and that are open.
func TestUndecided(t *testing.T) {
	for name, test := range map[string]struct {
		reply modelReply
		why   string
	}{
		"an error":      {modelReply{status: 500, error: "down " + mail}, "the classifier did not answer"},
		"a cut":         {modelReply{text: []string{`{"top`}, cut: true}, "the classifier did not answer"},
		"silence":       {modelReply{hang: true}, "the classifier did not answer in time"},
		"prose":         {saying("It is fine."), "not the JSON that was asked for"},
		"another topic": {saying(`{"topics":["sports"]}`), "not the JSON that was asked for"},
		"no list":       {saying(`{"topics":null}`), "not the JSON that was asked for"},
		"more":          {saying(`{"topics":[]} {"topics":["legal"]}`), "not the JSON that was asked for"},
		"more fields":   {saying(`{"topics":[],"safe":true}`), "not the JSON that was asked for"},
		"too long":      {modelReply{text: []string{`{"topics":[]}`}, finish: "length"}, "not the JSON that was asked for"},
	} {
		for _, onFailure := range []string{"", "closed", "open"} {
			t.Run(name+" "+onFailure, func(t *testing.T) {
				w := newWorld(t, deciding(test.reply, calling("Done.", modelCall{"lookup", `{}`})))
				agent := with(spec("billing"), "lookup")
				classifier := &agentspec.Classifier{OnFailure: onFailure}
				if test.reply.hang {
					classifier.Timeout = agentspec.Duration(80 * time.Millisecond)
				}

				agent.Spec.Guardrails.Input = advice(classifier)
				w.start(agent)
				w.begin("billing", "May I sue you?")
				w.drive()
				w.verify()

				log := w.log()
				if want := "guardrail_applied no-advice UNDECIDED: " + test.why; log[2] != want {
					t.Errorf("the log has %q, want %q", log[2], want)
				}

				failed := lastEvent(t, w).GetTurnFailed()
				if open := onFailure == "open"; open != (failed == nil) || open != (len(w.tools.started) > 0) {
					t.Errorf("failed %v, tools %v", failed, w.tools.started)
				}

				if failed != nil && (failed.GetReason() != reasonGuardrail || !strings.Contains(failed.GetMessage(), test.why)) {
					t.Errorf("failed %v", failed)
				}
			})
		}
	}
}

// TestVerdictsSurvive begins with a log that a process left between a decision and the end of its turn: only a text that may
// pass gets to the model.
func TestVerdictsSurvive(t *testing.T) {
	const checked, undecided = eventv1.GuardrailApplied_ACTION_CHECKED, eventv1.GuardrailApplied_ACTION_UNDECIDED

	for name, test := range map[string]struct {
		action    eventv1.GuardrailApplied_Action
		message   string
		onFailure string
		asked     int // of the classifier
		passes    bool
	}{
		"allowed":             {checked, "allowed", "closed", 0, true},
		"denied":              {checked, "denied: legal", "closed", 0, false},
		"denied, if open":     {checked, "denied: legal", "open", 0, false},
		"undecided":           {undecided, errTime.Error(), "closed", 1, false},
		"undecided, but open": {undecided, errTime.Error(), "open", 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, deciding(saying(`{"topics":["legal"]}`), calling("Done.", modelCall{"lookup", `{}`})))
			agent := with(spec("billing"), "lookup")
			agent.Spec.Guardrails.Input = advice(&agentspec.Classifier{OnFailure: test.onFailure})
			w.start(agent)
			w.begin("billing", "May I sue you?")
			w.store.update(func() {
				w.store.begin("billing")
				w.store.log(&eventv1.Event{Agent: "billing", Segment: 1, Kind: &eventv1.Event_GuardrailApplied{
					GuardrailApplied: &eventv1.GuardrailApplied{
						Rule: "no-advice", Direction: eventv1.GuardrailTriggered_DIRECTION_INPUT, Action: test.action, Message: test.message,
					},
				}})
			})
			w.drive()
			w.verify()

			asked := 0

			for _, request := range w.model.asked() {
				if request.classifies() {
					asked++
				}
			}

			failed := lastEvent(t, w).GetTurnFailed()
			if asked != test.asked || test.passes != (failed == nil) || test.passes != (len(w.tools.started) > 0) {
				t.Errorf("%d decisions, failed %v, tools %v", asked, failed, w.tools.started)
			}

			if failed != nil && failed.GetReason() != reasonGuardrail {
				t.Errorf("failed %v", failed)
			}
		})
	}
}

// loud keeps what is logged, and calls a function with the context of a warning.
type loud struct {
	slog.Handler

	warned func(context.Context)
}

func (l loud) WithAttrs(attrs []slog.Attr) slog.Handler {
	return loud{l.Handler.WithAttrs(attrs), l.warned}
}

func (l loud) Handle(ctx context.Context, record slog.Record) error {
	if record.Level == slog.LevelWarn {
		l.warned(ctx)
	}

	return l.Handler.Handle(ctx, record)
}

// TestDrainAfterADecision drains an agent once its guardrail could not decide: the turn fails, and is not given to another
// process. What the provider said of the text is not logged.
func TestDrainAfterADecision(t *testing.T) {
	w := newWorld(t, deciding(modelReply{status: 500, error: "can't read: May I sue you?"}, says("never")))
	agent := spec("billing")
	agent.Spec.Guardrails.Input = advice(nil)

	var (
		logged  bytes.Buffer
		process *process
	)

	process = w.start(agent, func(config *Config) {
		config.Telemetry = telemetry.Discard()
		config.Telemetry.Logger = slog.New(loud{slog.NewTextHandler(&logged, nil), func(ctx context.Context) {
			process.service.kill(errDraining)
			<-ctx.Done()
		}})
	})
	w.begin("billing", "May I sue you?")

	finished, err := w.handoff("billing")
	if err != nil || finished.GetOutcome() != handoffv1.Finished_OUTCOME_FAILED {
		t.Errorf("finished %v, %v", finished, err)
	}

	w.verify()

	if failed := lastEvent(t, w).GetTurnFailed(); failed.GetReason() != reasonGuardrail {
		t.Errorf("failed %v", failed)
	}

	process.stop()

	if text := logged.String(); !strings.Contains(text, "class=oops") || strings.Contains(text, "sue") {
		t.Errorf("logged %s", text)
	}
}

// TestNoToolBeforeItsGuardrail holds a classifier back: nothing else happens until it has decided, and nothing at all if it
// decides against the text; not for the agent that the turn is handed to, either.
func TestNoToolBeforeItsGuardrail(t *testing.T) {
	for decision, want := range map[string][]string{`{"topics":[]}`: {"lookup"}, `{"topics":["tax"]}`: nil} {
		t.Run(decision, func(t *testing.T) {
			held := make(chan struct{})
			w := newWorld(t, func(asked modelAsked) modelReply {
				switch {
				case asked.classifies():
					<-held

					return saying(decision)
				case asked.Agent == "triage":
					return modelReply{calls: []modelCall{{"handoff_to_billing", `{"reason":"taxes"}`}}}
				case asked.last() == "lookup done":
					return saying("Done.")
				default:
					return modelReply{calls: []modelCall{{"lookup", `{}`}}}
				}
			})
			billing := with(spec("billing"), "lookup")
			billing.Spec.Guardrails.Input = advice(nil)
			w.start(to(spec("triage"), "billing"))
			w.start(billing)
			w.begin("triage", "What about taxes?")

			ended := make(chan struct{})
			go func() {
				defer close(ended)

				w.drive()
			}()

			w.eventually("the classifier is asked", func() bool { return len(w.model.asked()) == 2 })

			if log := w.log(); log[len(log)-1] != "segment_started billing" || len(w.tools.started) > 0 {
				t.Errorf("before the decision: %v, tools %v", log, w.tools.started)
			}

			close(held)
			<-ended
			w.verify()

			if !slices.Equal(w.tools.started, want) {
				t.Errorf("tools started: %v, want %v", w.tools.started, want)
			}
		})
	}
}

func TestTopicsOfAnswers(t *testing.T) {
	w := newWorld(t, func(asked modelAsked) modelReply {
		switch {
		case asked.classifies() && strings.Contains(asked.last(), "sue"):
			return saying("```json\n{\"topics\":[\"legal\"]}\n```")
		case asked.classifies():
			return saying(`{"topics":[]}`)
		case asked.answered():
			return modelReply{text: []string{"You may ", "sue them."}, pause: 20 * time.Millisecond}
		default:
			return modelReply{text: []string{"Let me look."}, calls: []modelCall{{"lookup", `{}`}}}
		}
	})
	agent := with(spec("billing"), "lookup")
	agent.Spec.Guardrails.Output = advice(nil)
	w.start(agent)
	w.begin("billing", "What now?")
	w.drive()
	w.verify()
	w.neverShown("sue them")
	w.expect("turn_accepted", "segment_started billing", "step_started", "guardrail_applied no-advice CHECKED: allowed",
		`agent_message billing: "Let me look." lookup`, "tool_started", "tool_result lookup OUTCOME_OK", "step_started",
		"guardrail_applied no-advice CHECKED: denied: legal", "guardrail_triggered", "turn_failed GUARDRAIL_BLOCKED: Ask a lawyer.")

	if usage := lastEvent(t, w).GetTurnFailed().GetUsage(); usage.GetInputTokens() != 40 {
		t.Errorf("used %v", usage)
	}
}

// TestMaxChecks has an answer for every tool call checked, until the turn has used its checks.
func TestMaxChecks(t *testing.T) {
	w := newWorld(t, deciding(saying(`{"topics":[]}`), func(modelAsked) modelReply {
		return modelReply{text: []string{"Again."}, calls: []modelCall{{"lookup", `{}`}}}
	}))
	agent := with(spec("billing"), "lookup")
	agent.Spec.Guardrails.Output = advice(&agentspec.Classifier{MaxChecks: 2})
	w.start(agent)
	w.begin("billing", "What now?")
	w.drive()
	w.verify()

	if failed := lastEvent(t, w).GetTurnFailed(); !strings.Contains(failed.GetMessage(), "has used its checks") || len(w.tools.started) != 2 {
		t.Errorf("failed %v, tools %v", failed, w.tools.started)
	}
}

func TestTopicsAreBudgeted(t *testing.T) {
	w := newWorld(t, deciding(saying(`{"topics":[]}`), says("never")))
	agent := spec("billing")
	agent.Spec.Guardrails.Input = advice(&agentspec.Classifier{MaxTokens: 300})
	agent.Spec.Budgets.Tokens = 250
	w.start(agent)
	w.begin("billing", "What now?")
	w.drive()
	w.verify()

	if failed := lastEvent(t, w).GetTurnFailed(); failed.GetReason() != reasonBudget || len(w.model.asked()) > 0 {
		t.Errorf("failed %v after %d requests", failed, len(w.model.asked()))
	}
}

// TestUntoldChecksAreBooked has classifiers that fail, are late, or have no price: budgets reckon with the most that they
// may have used.
func TestUntoldChecksAreBooked(t *testing.T) {
	for name, test := range map[string]struct {
		reply  modelReply
		tokens bool // that nobody told of
	}{
		"an error": {modelReply{status: 500, error: "down"}, true},
		"a cut":    {modelReply{text: []string{`{"top`}, cut: true}, true},
		"silence":  {modelReply{hang: true}, true},
		"no price": {saying(`{"topics":[]}`), false},
	} {
		t.Run(name, func(t *testing.T) {
			answer := saying("Yes.")
			answer.cost = "0.0001"
			w := priced(t, knownPrices, deciding(test.reply, func(modelAsked) modelReply { return answer }))
			agent := frugal(spec("billing"), "0.01")

			classifier := &agentspec.Classifier{MaxTokens: 300, OnFailure: "open"}
			if test.reply.hang {
				classifier.Timeout = agentspec.Duration(80 * time.Millisecond)
			}

			agent.Spec.Guardrails.Input = advice(classifier)
			w.start(agent)
			w.begin("billing", "Is it paid?")
			w.drive()
			w.verify()

			events, _, _ := w.store.snapshot()
			usage := events[2].GetGuardrailApplied().GetUsage()

			if cost := usage.GetCostMicros(); cost < 3000 || cost > 3500 { // 300 tokens at 10 dollars per million, and the prompt
				t.Errorf("booked %v", usage)
			}

			if booked := usage.GetOutputTokens() == 300 && usage.GetInputTokens() > 50; booked != test.tokens {
				t.Errorf("booked %v", usage)
			}

			if total := lastEvent(t, w).GetTurnCompleted().GetUsage().GetCostMicros(); total != usage.GetCostMicros()+100 {
				t.Errorf("%d in all, %v of them the classifier's", total, usage)
			}
		})
	}
}

// TestTopicsUnreachable has no ambassador: what was never asked is not booked.
func TestTopicsUnreachable(t *testing.T) {
	w := newWorld(t, says("never"))
	agent := spec("billing")
	agent.Spec.Guardrails.Input = advice(&agentspec.Classifier{Timeout: agentspec.Duration(100 * time.Millisecond)})
	w.start(agent)
	w.model.Close()
	w.begin("billing", "Is it paid?")
	w.drive()
	w.verify()

	events, _, _ := w.store.snapshot()
	if applied := events[2].GetGuardrailApplied(); applied.GetMessage() != errTime.Error() || applied.GetUsage() != nil {
		t.Errorf("applied %v", applied)
	}
}

// TestTopicsSurvive kills the agent at every append: each rule decides once, as far as the log knows.
func TestTopicsSurvive(t *testing.T) {
	for _, before := range []bool{true, false} {
		for n, died := 1, true; died; n++ {
			t.Run(fmt.Sprintf("append=%d,before=%v", n, before), func(t *testing.T) {
				w := newWorld(t, deciding(saying(`{"topics":[]}`), calling("Done.", modelCall{"lookup", `{}`})))
				w.killAfter, w.killBefore = n, before
				agent := with(spec("billing"), "lookup")
				agent.Spec.Guardrails.Input, agent.Spec.Guardrails.Output = advice(nil), advice(nil)
				w.specs["billing"] = agent
				w.start(agent)
				w.begin("billing", "What now?")

				if turn := w.drive(); turn.GetStatus() != contextv1.TurnStatus_TURN_STATUS_COMPLETED {
					t.Errorf("turn %v", turn)
				}

				w.verify()

				directions := []eventv1.GuardrailTriggered_Direction{}
				for _, told := range w.applied(eventv1.GuardrailApplied_ACTION_CHECKED) {
					directions = append(directions, told.GetDirection())
				}

				if want := []eventv1.GuardrailTriggered_Direction{1, 2}; !slices.Equal(directions, want) {
					t.Errorf("decided %v", directions)
				}

				died = w.appends.Load() >= int64(n)
			})
		}
	}
}
