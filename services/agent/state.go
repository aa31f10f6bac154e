package agent

import (
	"slices"
	"time"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
)

// state is what a log says: the conversation so far and where its current turn is.
type state struct {
	// history holds the messages of the whole conversation in order.
	history []message
	// arrivals holds the latest handoff to each agent, by name.
	arrivals map[string]arrival
	// calls finds a call's message in history, by call id.
	calls map[string]int
	turn  turn
	// sequence is the last event that was folded.
	sequence int64
}

// message is one entry of the conversation as models read it.
type message struct {
	// Agent is empty for a user's message.
	Agent string `json:"agent,omitempty"`
	Text  string `json:"text,omitempty"`
	Calls []call `json:"calls,omitempty"`
}

// call is a tool call and what is known of it.
type call struct {
	ID        string  `json:"id"`
	Tool      string  `json:"tool"`
	Arguments string  `json:"arguments"`
	Result    *result `json:"result,omitempty"`
	// Started is set while the call's effect may exist and no result says so.
	Started bool `json:"started,omitempty"`

	// asked is the question that a human was asked about the call.
	asked eventv1.InputRequested_Kind
	// decision is the human's answer.
	decision eventv1.Decision
	comment  string
	// unknown marks a call whose effect nobody knows: tools said so, the log does not.
	unknown bool
	// guarded marks a call for which tools demand an approval that the list of tools did not mention.
	guarded bool
}

type result struct {
	Outcome eventv1.ToolResult_Outcome `json:"outcome"`
	Output  string                     `json:"output"`
}

// arrival is how control last came to an agent.
type arrival struct {
	From    string                     `json:"from"`
	Reason  string                     `json:"reason,omitempty"`
	Summary string                     `json:"summary,omitempty"`
	Mode    eventv1.HistoryFilter_Mode `json:"mode,omitempty"`
	LastN   int32                      `json:"lastN,omitempty"`
	// User is the index of the turn's user message; Handing is that of the message that asked for the handoff.
	User    int `json:"user"`
	Handing int `json:"handing"`
}

// turn is where the current turn is.
type turn struct {
	id       string
	accepted time.Time
	text     string
	user     int
	budget   *eventv1.Budget
	visited  []*contextv1.Visit

	// Used by the whole turn; usage is what models reported, tokens and cost also count what is reserved. Cost is in
	// millionths of a US dollar.
	steps  int32
	tokens int64
	cost   int64
	hops   int32
	usage  *eventv1.Usage
	// checks counts the classifiers' decisions that agents asked for, by agent and rule.
	checks map[string]int32

	segment segment
	cancel  *cancellation
	ended   bool
}

// segment is one agent's part of a turn.
type segment struct {
	number  int32
	agent   string
	started time.Time
	// waiting is since when humans are asked; waited is how long they took before.
	waiting time.Time
	waited  time.Duration

	// step is the last step; open means that its model call has no answer yet.
	step     int32
	open     bool
	reserved int64
	// reservedCost is the cost that its model call may have.
	reservedCost int64
	// message is the index of the last message of the segment, -1 if it has none.
	message int
	// finish is why the model stopped writing that message, in OpenAI's words.
	finish string
	// empty counts the model's answers with neither text nor calls in a row.
	empty  int
	steps  int32
	tokens int64
	cost   int64

	// verdicts are what the input rules with topics came to; hits are the values that events said were hidden from the
	// model.
	verdicts map[string]verdict
	hits     int32
	// repaired says that the model was asked to write its answer once more, repairing that it has not answered yet.
	// problem is what was wrong with the answer; draft and detail are known only to the process that got it: the log has
	// nothing of an answer that nobody shall see.
	repaired, repairing    bool
	problem, draft, detail string
	// handedTo is set once control has passed on.
	handedTo string
}

type cancellation struct{ by, reason string }

func newState() *state {
	return &state{arrivals: map[string]arrival{}, calls: map[string]int{}, turn: turn{usage: &eventv1.Usage{}, segment: segment{message: -1}}}
}

// spoken reports whether an agent has said something in this turn.
func (s *state) spoken() bool {
	if s.turn.accepted.IsZero() {
		return false
	}

	return slices.ContainsFunc(s.history[s.turn.user:], func(said message) bool { return said.Agent != "" && said.Text != "" })
}

// call returns a call of the history; nil if there is none by that id.
func (s *state) call(id string) *call {
	index, ok := s.calls[id]
	if !ok {
		return nil
	}

	for i := range s.history[index].Calls {
		if found := &s.history[index].Calls[i]; found.ID == id {
			return found
		}
	}

	return nil
}

// current returns the calls that the segment's last message asks for, in order.
func (s *state) current() []call {
	if s.turn.segment.open || s.turn.segment.message < 0 {
		return nil
	}

	return s.history[s.turn.segment.message].Calls
}

// answer returns the text of the segment's last message.
func (s *state) answer() string {
	if s.turn.segment.message < 0 {
		return ""
	}

	return s.history[s.turn.segment.message].Text
}
