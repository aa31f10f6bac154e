package agent

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
	"github.com/serinhq/serin/internal/agentspec"
)

const (
	mail = "ann@example.com"
	card = "4111 1111 1111 1111"
)

func hiding(agent agentspec.Agent, tools string) agentspec.Agent {
	agent.Spec.Guardrails.Redaction = &agentspec.Redaction{Kinds: []string{"email", "card"}, Tools: tools}

	return agent
}

// neverRead fails the test if a model read one of the texts.
func (w *world) neverRead(texts ...string) {
	w.t.Helper()

	for _, asked := range w.model.asked() {
		for _, text := range texts {
			if strings.Contains(asked.body, text) {
				w.t.Errorf("the model of %s read %q: %s", asked.Agent, text, asked.body)
			}
		}
	}
}

// applied are the events of guardrails that stop nothing.
func (w *world) applied(action eventv1.GuardrailApplied_Action) []*eventv1.GuardrailApplied {
	var found []*eventv1.GuardrailApplied

	events, _, _ := w.store.snapshot()
	for _, event := range events {
		if applied := event.GetGuardrailApplied(); applied.GetAction() == action && applied != nil {
			found = append(found, applied)
		}
	}

	return found
}

func TestRedaction(t *testing.T) {
	w := newWorld(t, func(asked modelAsked) modelReply {
		if asked.answered() {
			return modelReply{text: []string{"I wrote to [EM", "AIL_1", "] and [EMAIL_2]", " about [CARD", "_1]."}, pause: 20 * time.Millisecond}
		}

		return modelReply{calls: []modelCall{{"lookup", `{"of":"[EMAIL_1]"}`}}}
	})
	w.tools.outputs = map[string]string{"lookup": `{"name":"Bob","mail":"bob@example.com","card":4111111111111111}`}
	w.start(hiding(with(spec("billing"), "lookup"), "restored"))
	w.begin("billing", "I am "+mail+" with the card "+card)
	w.drive()
	w.verify()
	w.neverRead(mail, "bob@example.com", card, "4111111111111111")

	if want := []string{`{"of":"ann@example.com"}`}; !slices.Equal(w.tools.arguments, want) {
		t.Errorf("tools got %v", w.tools.arguments)
	}

	const answer = "I wrote to ann@example.com and bob@example.com about 4111 1111 1111 1111."
	if text := lastEvent(t, w).GetTurnCompleted().GetText(); text != answer {
		t.Errorf("answered %q", text)
	}

	w.shownIsPartOf(answer)
	w.expect("turn_accepted", "segment_started billing",
		"step_started", "guardrail_applied redaction REDACTED: hidden in the turn so far: 1 card, 1 email",
		`agent_message billing: "" lookup`, "tool_started", "tool_result lookup OUTCOME_OK",
		"step_started", "guardrail_applied redaction REDACTED: hidden in the turn so far: 2 card, 3 email",
		`agent_message billing: "`+answer+`"`, "turn_completed")

	if told := w.applied(eventv1.GuardrailApplied_ACTION_REDACTED); told[0].GetHits() != 2 || told[1].GetHits() != 3 {
		t.Errorf("told %v", told)
	}

	if second := w.model.asked()[1]; second.Messages[2].ToolCalls[0].Function.Arguments != `{"of":"[EMAIL_1]"}` ||
		second.last() != `{"name":"Bob","mail":"[EMAIL_2]","card":"[CARD_1.2]"}` {
		t.Errorf("the model read %s", second.body)
	}
}

// shownIsPartOf fails the test unless every delta and part is what the answer has at its place.
func (w *world) shownIsPartOf(answer string) {
	w.t.Helper()

	events, _, _ := w.store.snapshot()
	shown := 0

	w.store.mu.Lock()
	defer w.store.mu.Unlock()

	for _, event := range append(events, w.store.shown...) {
		offset, text := event.GetTextDelta().GetOffset(), event.GetTextDelta().GetText()
		if part := event.GetMessagePart(); part != nil {
			offset, text = part.GetOffset(), part.GetText()
		}

		if text == "" {
			continue
		}

		if shown++; int(offset) > len(answer) || !strings.HasPrefix(answer[offset:], text) {
			w.t.Errorf("shown %q at %d of %q", text, offset, answer)
		}
	}

	if shown == 0 {
		w.t.Error("nothing was shown")
	}
}

func TestRedactionFromTools(t *testing.T) {
	w := newWorld(t, calling("Sent to [EMAIL_1].", modelCall{"lookup", `{"to":"[EMAIL_1]","cc":"[EMAIL_7]"}`}))
	w.tools.outputs = map[string]string{"lookup": "sent to [EMAIL_1], not to carl@example.com"}
	w.start(hiding(with(spec("billing"), "lookup"), "redacted"))
	w.begin("billing", "Write to "+mail)
	w.drive()
	w.verify()
	w.neverRead(mail, "carl@example.com")

	if want := []string{`{"to":"[EMAIL_1]","cc":"[EMAIL_7]"}`}; !slices.Equal(w.tools.arguments, want) {
		t.Errorf("tools got %v", w.tools.arguments)
	}

	if read := w.model.asked()[1].last(); read != "sent to [EMAIL_1], not to [EMAIL_2]" {
		t.Errorf("the model read %q", read)
	}

	if text := lastEvent(t, w).GetTurnCompleted().GetText(); text != "Sent to ann@example.com." {
		t.Errorf("answered %q", text)
	}
}

// TestRedactionSurvives kills the agent that appends for the n-th time, for every n, and hands off in between: every model
// reads the same placeholders for the same values, none reads a value, and each value is told of once.
func TestRedactionSurvives(t *testing.T) {
	for _, before := range []bool{true, false} {
		for n, died := 1, true; died; n++ {
			t.Run(fmt.Sprintf("append=%d,before=%v", n, before), func(t *testing.T) { died = redactedAt(t, n, before) })
		}
	}
}

func redactedAt(t *testing.T, n int, before bool) bool {
	t.Helper()

	w := newWorld(t, func(asked modelAsked) modelReply {
		switch {
		case asked.Agent == "triage":
			return modelReply{calls: []modelCall{{"handoff_to_billing", `{"reason":"[EMAIL_1] asks","summary":"for [CARD_1]"}`}}}
		case asked.answered() && strings.Contains(asked.last(), "done"):
			return modelReply{text: []string{"Done, [EMAIL_1", "]."}}
		default:
			return modelReply{calls: []modelCall{{"clock", `{"card":"[CARD_1]"}`}}}
		}
	})
	w.killAfter, w.killBefore = n, before
	w.specs["triage"] = hiding(to(spec("triage"), "billing"), "restored")
	w.specs["billing"] = hiding(with(spec("billing"), "clock"), "restored")
	w.start(w.specs["triage"])
	w.start(w.specs["billing"])
	w.begin("triage", "I am "+mail+", card "+card)

	if turn := w.drive(); turn.GetStatus() != contextv1.TurnStatus_TURN_STATUS_COMPLETED {
		t.Errorf("turn %v", turn)
	}

	w.verify()
	w.neverRead(mail, card)

	for _, asked := range w.model.asked() {
		if user := asked.Messages[1].Content; user != "I am [EMAIL_1], card [CARD_1]" {
			t.Errorf("the model of %s read %q", asked.Agent, user)
		}
	}

	if text := lastEvent(t, w).GetTurnCompleted().GetText(); text != "Done, ann@example.com." {
		t.Errorf("answered %q", text)
	}

	hits := int32(0)
	for _, told := range w.applied(eventv1.GuardrailApplied_ACTION_REDACTED) {
		hits += told.GetHits()
	}

	if hits != 2+4+1 { // triage saw the message, billing also the handoff's arguments, and then those of its own call
		t.Errorf("%d values were told of\n%s", hits, strings.Join(w.log(), "\n"))
	}

	return w.appends.Load() >= int64(n)
}

func TestRedactionInLaterTurns(t *testing.T) {
	w := newWorld(t, says("Hello [EMAIL_1]"))
	agent := hiding(spec("triage"), "restored")
	w.start(agent, func(config *Config) { config.Retriever = finds("who.md", "Ask desk@example.com") })

	for _, text := range []string{"I am " + mail, "I am still " + mail + " [EMAIL_1], not bob@example.com"} {
		w.begin("triage", text)
		w.drive()
	}

	w.neverRead(mail, "desk@example.com", "bob@example.com")

	asked := w.model.asked()[1]
	if got := asked.last(); got != "I am still [EMAIL_1] [TEXT_1], not [EMAIL_2]" {
		t.Errorf("the model read %q", got)
	}

	if !strings.Contains(asked.Messages[0].Content, "Ask [EMAIL_3]") {
		t.Errorf("the model read %q", asked.Messages[0].Content)
	}
}

// TestRedactionOfJSONAnswers has an agent answer in JSON, where what stands before a value may be an escaped line break:
// the next prompt has the placeholder that the user's message has.
func TestRedactionOfJSONAnswers(t *testing.T) {
	const answer = `{"note":"Write to:\n[EMAIL_1]"}`

	w := newWorld(t, deciding(saying(`{"topics":[]}`), says(answer)))
	agent := hiding(spec("billing"), "restored")
	agent.Spec.Guardrails.OutputSchema = agentspec.Object(`{"type":"object"}`)
	agent.Spec.Guardrails.Output = advice(nil)
	w.start(agent)

	for _, text := range []string{"I am " + mail, "Again"} {
		w.begin("billing", text)
		w.drive()
	}

	w.neverRead(mail)

	if text := lastEvent(t, w).GetTurnCompleted().GetText(); text != `{"note":"Write to:\nann@example.com"}` {
		t.Errorf("answered %s", text)
	}

	asked := w.model.asked()
	if read := asked[1].last(); read != `{"text":"{\"note\":\"Write to:\\n[EMAIL_1]\"}"}` {
		t.Errorf("the classifier read %s", read)
	}

	if read := asked[2].Messages[2].Content; read != answer {
		t.Errorf("the model read %s", read)
	}
}

// TestRedactionOfRepairs has what is wrong with an answer end within a value if it were cut too early.
func TestRedactionOfRepairs(t *testing.T) {
	for pad := maxMisfit - 200; pad < maxMisfit; pad += 7 {
		s := newState()
		s.turn.segment.repairing = true
		s.turn.segment.draft = `{"to":"\nann@example.com"}`
		s.turn.segment.detail = strings.Repeat("x", pad) + " " + card + strings.Repeat(" x", 100)

		rules, err := newRules(hiding(spec("billing"), "restored"), nil)
		if err != nil {
			t.Fatal(err)
		}

		chats := s.repair(rules.veil(s))
		if chats[0].Text != `{"to":"\n[EMAIL_1]"}` || strings.Contains(chats[1].Text, "4111") || len(chats[1].Text) > maxMisfit+300 {
			t.Fatalf("the model reads %v", chats)
		}
	}
}
