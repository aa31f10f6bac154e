package agent

import (
	"fmt"
	"slices"
	"strings"

	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
	"github.com/serinhq/serin/internal/agentspec"
	"github.com/serinhq/serin/services/agent/pii"
)

// ruleRedaction is what events call the redaction of personal data.
const ruleRedaction = "redaction"

// redaction is what an agent's file hides from its model.
type redaction struct {
	kinds []pii.Kind
	tools string
}

func newRedaction(spec *agentspec.Redaction) *redaction {
	if spec == nil {
		return nil
	}

	made := &redaction{tools: spec.Tools}
	for _, kind := range spec.Kinds {
		made.kinds = append(made.kinds, pii.Kind(kind))
	}

	return made
}

// fromTools reports whether tools get placeholders, too.
func (r *redaction) fromTools() bool { return r != nil && r.tools == "redacted" }

// hint tells the model what placeholders are.
func (r *redaction) hint() string {
	if r == nil {
		return ""
	}

	return "\n\nPersonal data in this conversation is replaced by placeholders such as [EMAIL_1]. Use them, exactly as they " +
		"are written, wherever the value belongs; [EMAIL_1.2] is the same value as [EMAIL_1], written in another way."
}

// veil hides personal data in what one model call reads, and puts it back into what the model answers. The log has the
// values, and which placeholder stands for which follows from it: whoever folds the same log makes the same veil.
type veil struct {
	book *pii.Book
	// own is the agent in whose calls the model's own placeholders stand, since its tools get them.
	own string
	// done are texts that were redacted before.
	done map[veiled]string
}

// veiled is a text and how it was read.
type veiled struct {
	text      string
	json, own bool
}

// veil makes one of the whole conversation, in the order of the log, so that what is said later changes nothing. It is nil
// if the agent hides nothing.
func (r *rules) veil(s *state) *veil {
	if r.redaction == nil {
		return nil
	}

	made := &veil{book: pii.NewBook(r.redaction.kinds...), done: map[veiled]string{}}
	if r.redaction.fromTools() {
		made.own = r.agent
	}

	for _, message := range s.history {
		made.message(message)
	}

	return made
}

// message redacts all that a message holds.
func (v *veil) message(message message) []string {
	texts := []string{v.said(message.Text, message.Agent)}

	for _, call := range message.Calls {
		texts = append(texts, v.json(call.Arguments, message.Agent))
	}

	for _, call := range message.Calls {
		if call.Result != nil {
			texts = append(texts, v.json(call.Result.Output, message.Agent))
		}
	}

	return texts
}

func (v *veil) text(text string) string {
	if v == nil {
		return text
	}

	return v.once(veiled{text: text}, v.book.Redact)
}

// said redacts what somebody wrote: agents may write JSON.
func (v *veil) said(text, agent string) string {
	if agent == "" {
		return v.text(text)
	}

	return v.answer(text)
}

// answer redacts what a model wrote, JSON or not, after its values were restored.
func (v *veil) answer(text string) string {
	if v == nil {
		return text
	}

	return v.once(veiled{text: text, json: true}, func(text string) string { return v.book.RedactJSON(text, false) })
}

// json redacts what an agent's calls hold.
func (v *veil) json(text, agent string) string {
	if v == nil {
		return text
	}

	own := v.own != "" && v.own == agent

	return v.once(veiled{text: text, json: true, own: own}, func(text string) string { return v.book.RedactJSON(text, own) })
}

func (v *veil) once(read veiled, redact func(string) string) string {
	if known, ok := v.done[read]; ok {
		return known
	}

	redacted := redact(read.text)
	v.done[read] = redacted

	return redacted
}

// chats redacts a prompt.
func (v *veil) chats(prompt []chat) []chat {
	if v == nil {
		return prompt
	}

	for i := range prompt {
		chat := &prompt[i]
		if chat.Role == roleTool {
			chat.Text = v.json(chat.Text, chat.agent)
		} else {
			chat.Text = v.said(chat.Text, chat.agent)
		}

		for j := range chat.Calls { // a copy: see message.chats
			chat.Calls[j].Arguments = v.json(chat.Calls[j].Arguments, chat.agent)
		}
	}

	return prompt
}

func (v *veil) restore(text string) string {
	if v == nil {
		return text
	}

	return v.book.Restore(text)
}

// stream restores a text that comes in pieces.
func (v *veil) stream() *pii.Stream {
	if v == nil {
		return pii.NewStream(nil)
	}

	return pii.NewStream(v.book)
}

// told is the event about the values of the turn that are hidden from the segment's model and that no event has counted
// yet; nil if there are none.
func (v *veil) told(s *state) *eventv1.GuardrailApplied {
	if v == nil {
		return nil
	}

	counts, total := map[pii.Kind]int{}, int32(0)

	for _, message := range s.history[min(s.turn.user, len(s.history)):] {
		for _, text := range v.message(message) {
			for kind, count := range v.book.Count(text) {
				counts[kind] += count
				total += int32(count) //nolint:gosec // a log holds no such numbers of values
			}
		}
	}

	if total <= s.turn.segment.hits {
		return nil
	}

	return &eventv1.GuardrailApplied{
		Rule: ruleRedaction, Direction: eventv1.GuardrailTriggered_DIRECTION_INPUT, Action: eventv1.GuardrailApplied_ACTION_REDACTED,
		Hits: total - s.turn.segment.hits, Message: "hidden in the turn so far: " + countsOf(counts),
	}
}

func countsOf(counts map[pii.Kind]int) string {
	words := make([]string, 0, len(counts))
	for kind, count := range counts {
		words = append(words, fmt.Sprintf("%d %s", count, kind))
	}

	slices.Sort(words)

	return strings.Join(words, ", ")
}
