package agent

import (
	"fmt"
	"strings"
	"testing"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
	"github.com/serinhq/serin/internal/agentspec"
)

func formed(agent agentspec.Agent) agentspec.Agent {
	agent.Spec.Guardrails.OutputSchema = agentspec.Object(
		`{"type":"object","required":["total"],"properties":{"total":{"type":"number"}},"additionalProperties":false}`)

	return agent
}

const misfit = `{"total":"confidential"}`

// repairing writes an answer that does not fit until it is told so.
func repairing(second string) func(modelAsked) modelReply {
	return func(asked modelAsked) modelReply {
		if strings.Contains(asked.last(), "does not fit") {
			return modelReply{text: []string{second}}
		}

		return modelReply{text: []string{`{"total":"conf`, `idential"}`}}
	}
}

func TestAnswerFits(t *testing.T) {
	w := newWorld(t, says(`{"total":`, ` 12.5}`))
	w.start(formed(spec("billing")))
	w.begin("billing", "How much?")
	w.drive()
	w.verify()
	w.expect("turn_accepted", "segment_started billing", "step_started", `agent_message billing: "{\"total\": 12.5}"`, "turn_completed")

	asked := w.model.asked()[0]
	if asked.Format.Schema.Name != "answer" || !strings.Contains(string(asked.Format.Schema.Schema), `"total"`) ||
		!strings.Contains(asked.Messages[0].Content, "JSON Schema") {
		t.Errorf("asked %s", asked.body)
	}
}

func TestOneRepair(t *testing.T) {
	w := newWorld(t, repairing(`{"total":12.5}`))
	w.start(formed(spec("billing")))
	w.begin("billing", "How much?")
	w.drive()
	w.verify()
	w.expect("turn_accepted", "segment_started billing", "step_started",
		"guardrail_applied output-schema REPAIR: it does not fit /properties/total type", "step_started",
		`agent_message billing: "{\"total\":12.5}"`, "turn_completed")
	w.neverShown("confidential")

	asked := w.model.asked()[1].Messages
	if asked[2].Content != misfit || !strings.Contains(asked[3].Content, `has type "string", want "number"`) {
		t.Errorf("the model read %v", asked)
	}

	if done := lastEvent(t, w).GetTurnCompleted(); done.GetUsage().GetInputTokens() != 20 || done.GetSteps() != 2 {
		t.Errorf("completed %v", done)
	}
}

// neverShown fails the test if a text is in the log, or was shown.
func (w *world) neverShown(text string) {
	w.t.Helper()

	events, _, _ := w.store.snapshot()

	w.store.mu.Lock()
	defer w.store.mu.Unlock()

	for _, event := range append(events, w.store.shown...) {
		if strings.Contains(event.String(), text) {
			w.t.Errorf("shown: %v", event)
		}
	}
}

func TestNoSecondRepair(t *testing.T) {
	w := newWorld(t, repairing("It is confidential."))
	w.start(formed(spec("billing")))
	w.begin("billing", "How much?")
	w.drive()
	w.verify()
	w.expect("turn_accepted", "segment_started billing", "step_started",
		"guardrail_applied output-schema REPAIR: it does not fit /properties/total type", "step_started", "guardrail_triggered",
		"turn_failed GUARDRAIL_BLOCKED: The answer is not of the form that billing promises (output-schema), and neither was the one "+
			"before: it is not JSON.")
	w.neverShown("confidential")

	events, _, _ := w.store.snapshot()
	if stopped := events[len(events)-2].GetGuardrailTriggered(); stopped.GetRule() != ruleForm ||
		stopped.GetDirection() != eventv1.GuardrailTriggered_DIRECTION_OUTPUT {
		t.Errorf("stopped %v", stopped)
	}

	if usage := lastEvent(t, w).GetTurnFailed().GetUsage(); usage.GetInputTokens() != 20 {
		t.Errorf("used %v", usage)
	}
}

// TestRepairWithATool has the model call a tool before it answers again: the answer after that is its last.
func TestRepairWithATool(t *testing.T) {
	w := newWorld(t, func(asked modelAsked) modelReply {
		if strings.Contains(asked.last(), "does not fit") {
			return modelReply{calls: []modelCall{{"lookup", `{}`}}}
		}

		return modelReply{text: []string{misfit}}
	})
	w.start(formed(with(spec("billing"), "lookup")))
	w.begin("billing", "How much?")
	w.drive()
	w.verify()

	if failed := lastEvent(t, w).GetTurnFailed(); failed.GetReason() != reasonGuardrail || len(w.model.asked()) != 3 {
		t.Errorf("failed %v after %d calls", failed, len(w.model.asked()))
	}
}

// TestRepairSurvives kills the agent at every append: the model is asked to repair once, whoever goes on.
func TestRepairSurvives(t *testing.T) {
	for _, before := range []bool{true, false} {
		for n, died := 1, true; died; n++ {
			t.Run(fmt.Sprintf("append=%d,before=%v", n, before), func(t *testing.T) {
				w := newWorld(t, repairing(`{"total":12.5}`))
				w.killAfter, w.killBefore = n, before
				w.specs["billing"] = formed(spec("billing"))
				w.start(w.specs["billing"])
				w.begin("billing", "How much?")

				if turn := w.drive(); turn.GetStatus() != contextv1.TurnStatus_TURN_STATUS_COMPLETED {
					t.Errorf("turn %v", turn)
				}

				w.verify()
				w.neverShown("confidential")

				if told := w.applied(eventv1.GuardrailApplied_ACTION_REPAIR); len(told) != 1 {
					t.Errorf("told %v", told)
				}

				died = w.appends.Load() >= int64(n)
			})
		}
	}
}

// TestProviderWithoutForms is asked once more without one, and from then on never with one.
func TestProviderWithoutForms(t *testing.T) {
	w := newWorld(t, func(asked modelAsked) modelReply {
		if asked.Format.Schema.Name != "" {
			return modelReply{status: 400, error: "response_format is not supported by this model"}
		}

		return modelReply{text: []string{`{"total":1}`}}
	})
	w.start(formed(spec("billing")))

	for range 2 {
		w.begin("billing", "How much?")
		w.drive()

		if text := lastEvent(t, w).GetTurnCompleted().GetText(); text != `{"total":1}` {
			t.Errorf("answered %q", text)
		}
	}

	if asked := w.model.asked(); len(asked) != 3 {
		t.Errorf("asked %d times", len(asked))
	}
}

func TestMisfits(t *testing.T) {
	form, err := newForm(agentspec.Object(`{"type":"object","required":["a"],"additionalProperties":false,
		"properties":{"a":{"anyOf":[{"type":"string","maxLength":2},{"type":"null"}]},"b":{"items":{"enum":[1,2]}}}}`))
	if err != nil {
		t.Fatal(err)
	}

	for text, want := range map[string]string{
		`{"a":"x","b":[1]}`:   "",
		`{"a":null}`:          "",
		`{"a":"secret"}`:      "it does not fit /properties/a anyOf",
		`{"b":[]}`:            "it does not fit root required",
		`{"a":"x","b":[7]}`:   "it does not fit /properties/b/items enum",
		`{"a":"","secret":1}`: "it does not fit root additionalProperties",
		`[]`:                  "it does not fit root type",
		`{"a":"x"} {}`:        "it is not JSON",
		"```json\n{}\n```":    "it is not JSON",
		``:                    "it is not JSON",
	} {
		if problem, detail := form.misfit(text); problem != want || (detail == "") != (want == "") || strings.Contains(problem, "secret") {
			t.Errorf("%s: %q, want %q; in detail %q", text, problem, want, detail)
		}
	}
}
