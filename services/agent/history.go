package agent

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"

	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
)

// What a model reads where a call has no result, since every call it made must have one.
const (
	missing  = "No result was recorded. The call may not have run."
	underway = "The call was started and may still take effect. Do not repeat it without asking the user."
)

// chat is one message of a prompt, in OpenAI's words.
type chat struct {
	Role   string `json:"role"`
	Text   string `json:"text,omitempty"`
	CallID string `json:"call_id,omitempty"`
	Calls  []call `json:"calls,omitempty"`

	// agent said it, or made the call that it is the result of; empty for a user.
	agent string
}

// The roles of a prompt's messages.
const (
	roleUser      = "user"
	roleAssistant = "assistant"
	roleTool      = "tool"
)

// prompt returns what an agent gets to read of the conversation. Each tool call is followed by its result, in the order
// of the calls.
func (s *state) prompt(agent string) []chat {
	var chats []chat

	for _, message := range s.view(agent) {
		chats = append(chats, message.chats()...)
	}

	return chats
}

// view applies the history filter of the latest handoff to the agent. What came after that handoff is always whole, and
// so is the message of the user that the handoff was about.
func (s *state) view(agent string) []message {
	came, ok := s.arrivals[agent]
	if !ok || came.full() {
		return s.history
	}

	after := s.history[min(came.Handing+1, len(s.history)):]

	return slices.Concat(came.before(s.history[:min(came.Handing, len(s.history))]), after)
}

func (a arrival) full() bool {
	return a.Mode == eventv1.HistoryFilter_MODE_FULL || a.Mode == eventv1.HistoryFilter_MODE_UNSPECIFIED
}

// before filters what was said before the handoff.
func (a arrival) before(history []message) []message {
	if a.User >= len(history) {
		return nil
	}

	task := history[a.User]

	switch a.Mode {
	case eventv1.HistoryFilter_MODE_LAST_N:
		last := history[max(0, len(history)-int(a.LastN)):]
		if a.User < len(history)-len(last) {
			return slices.Concat([]message{task}, last)
		}

		return last
	case eventv1.HistoryFilter_MODE_NO_TOOLS:
		return withoutTools(history)
	case eventv1.HistoryFilter_MODE_UNSPECIFIED, eventv1.HistoryFilter_MODE_FULL:
		return history
	case eventv1.HistoryFilter_MODE_SUMMARY:
		return []message{task}
	default: // a mode of a later release: show the least
		return []message{task}
	}
}

func withoutTools(history []message) []message {
	var spoken []message

	for _, message := range history {
		if message.Text != "" {
			message.Calls = nil
			spoken = append(spoken, message)
		}
	}

	return spoken
}

// chats is a message as prompts have it; nothing for an agent's empty one.
func (m message) chats() []chat {
	if m.Agent == "" {
		return []chat{{Role: roleUser, Text: m.Text}}
	}

	if m.Text == "" && len(m.Calls) == 0 {
		return nil
	}

	calls := slices.Clone(m.Calls)
	chats := []chat{{Role: roleAssistant, Text: m.Text, Calls: calls, agent: m.Agent}}

	for i, call := range calls {
		if !isObject(call.Arguments) { // providers refuse what is not JSON; the result says what was wrong
			calls[i].Arguments = "{}"
		}

		chats = append(chats, chat{Role: roleTool, CallID: call.ID, Text: call.output(), agent: m.Agent})
	}

	return chats
}

func (c call) output() string {
	switch {
	case c.Result != nil:
		return c.Result.Output
	case c.Started:
		return underway
	default:
		return missing
	}
}

// note tells an agent that sees a filtered history why it has the conversation; empty for all others.
func (s *state) note(agent string) string {
	came, ok := s.arrivals[agent]
	if !ok || came.full() {
		return ""
	}

	note := "The agent " + came.From + " handed this conversation to you."
	if came.Reason != "" {
		note += "\nReason: " + came.Reason
	}

	if came.Summary != "" {
		note += "\nSummary: " + came.Summary
	}

	return note
}

// digest is sha256 in hex over what a prompt says.
func digest(chats []chat) string {
	data, err := json.Marshal(chats)
	if err != nil { // strings and integers always marshal
		return ""
	}

	sum := sha256.Sum256(data)

	return hex.EncodeToString(sum[:])
}

// size is the number of bytes that a prompt's messages hold.
func size(chats []chat) int {
	total := 0

	for _, chat := range chats {
		total += len(chat.Role) + len(chat.Text)
		for _, call := range chat.Calls {
			total += len(call.Tool) + len(call.Arguments)
		}
	}

	return total
}
