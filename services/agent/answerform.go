package agent

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/google/jsonschema-go/jsonschema"

	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
	"github.com/serinhq/serin/internal/agentspec"
	"github.com/serinhq/serin/internal/agentspec/schema"
)

// ruleForm is what events call the schema of answers.
const ruleForm = "output-schema"

// maxMisfit is how much of what is wrong with an answer a model gets to read, in bytes.
const maxMisfit = 2048

// form is the JSON Schema that an agent's answer must fit.
type form struct {
	raw      json.RawMessage
	resolved *jsonschema.Resolved
}

// newForm returns nil where there is no schema.
func newForm(object agentspec.Object) (*form, error) {
	if len(object) == 0 {
		return nil, nil //nolint:nilnil // no form is a form
	}

	resolved, err := schema.Compile(object)
	if err != nil {
		return nil, fmt.Errorf("spec.guardrails.outputSchema: %w", err)
	}

	return &form{raw: json.RawMessage(object), resolved: resolved}, nil
}

// hint tells the model what it must write, whatever its provider can be asked for.
func (f *form) hint() string {
	if f == nil {
		return ""
	}

	return "\n\nYour answer must be one JSON value and nothing else: no words around it, no code fence. It must fit this " +
		"JSON Schema:\n" + string(f.raw)
}

func (f *form) format() *format {
	if f == nil {
		return nil
	}

	return &format{name: "answer", schema: f.raw}
}

// misfit says what is wrong with an answer: the problem without anything of the answer, and in detail. Both are empty if it
// fits.
func (f *form) misfit(text string) (problem, detail string) {
	var value any
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		return "it is not JSON", "it is not JSON: " + err.Error()
	}

	if err := f.resolved.Validate(value); err != nil {
		return "it does not fit " + place(err), err.Error()
	}

	return "", ""
}

// place is where in the schema an answer does not fit, and the keyword that says so. What follows those in the library's
// words quotes the answer.
func place(err error) string {
	at, rest := "", err.Error()

	for {
		path, after, ok := strings.Cut(strings.TrimPrefix(rest, "validating "), ": ")
		if !ok || !strings.HasPrefix(rest, "validating ") {
			break
		}

		at, rest = path, after
	}

	keyword, _, _ := strings.Cut(rest, ":")
	if strings.HasPrefix(rest, "unexpected additional properties") {
		keyword = "additionalProperties"
	}

	if strings.ContainsAny(keyword, " \"[]") {
		keyword = ""
	}

	return strings.TrimSpace(strings.Join([]string{at, keyword}, " "))
}

// checkForm checks an answer that is the segment's last word. The first that does not fit is written once more, and nobody
// sees it; the second ends the turn.
func (x *execution) checkForm(step int32, answer *answer) (again bool, err error) {
	if x.rules.form == nil || len(answer.calls) > 0 || answer.finish == finishLength || answer.finish == finishFilter {
		return false, nil
	}

	problem, detail := x.rules.form.misfit(answer.text)
	if problem == "" {
		return false, nil
	}

	const direction = eventv1.GuardrailTriggered_DIRECTION_OUTPUT

	if x.state.turn.segment.repaired {
		x.state.settle(answer.usage)

		return false, &failure{blocked(&guard{name: ruleForm, message: fmt.Sprintf(
			"The answer is not of the form that %s promises (%s), and neither was the one before: %s.", x.service.name, ruleForm, problem,
		)}, direction)}
	}

	x.emit(step, &eventv1.Event{Kind: &eventv1.Event_GuardrailApplied{GuardrailApplied: &eventv1.GuardrailApplied{
		Rule: ruleForm, Direction: direction, Action: eventv1.GuardrailApplied_ACTION_REPAIR,
		Message: problem, Usage: answer.usage, Model: answer.model,
	}}})

	segment := &x.state.turn.segment
	segment.draft, segment.detail = answer.text, detail

	return true, nil
}

// repair is what the model reads after an answer that did not fit, redacted: what quotes the answer is cut only then, since
// half a value is not found. After a crash that answer is not known any more.
func (s *state) repair(veil *veil) []chat {
	segment := &s.turn.segment
	if !segment.repairing {
		return nil
	}

	var chats []chat
	if segment.draft != "" {
		chats = append(chats, chat{Role: roleAssistant, Text: veil.answer(segment.draft), agent: segment.agent})
	}

	wrong := cut(veil.text(segment.detail), maxMisfit)
	if wrong == "" {
		wrong = segment.problem
	}

	return append(chats, chat{Role: roleUser, Text: "(Not from the user.) Your last answer is not shown to the user, since it does " +
		"not fit the JSON Schema: " + wrong + ". Write the whole answer again: one JSON value that fits, and nothing else."})
}
