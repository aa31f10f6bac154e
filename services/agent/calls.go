package agent

import (
	"encoding/json"
	"fmt"

	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
)

// Texts that the model reads as results of calls that no tool ran.
const (
	textConfirmed = "A person confirmed that the call took effect; its output is not known."
	textDenied    = "A person confirmed that the call did not take effect."
	textRejected  = "A person rejected this call. It did not run."
	textCut       = "The call was cut at %d tokens, the most that one answer may have. It did not run. Write it again, shorter."
	textSecond    = "Control passes to one agent at a time; this handoff was ignored."
)

// plan sorts the calls of a message by what to do with them.
type plan struct {
	settle  []settled
	run     []call
	recall  []call
	ask     []*eventv1.InputRequested
	handoff *call
}

// decideCalls returns what to do about the calls of the last message; nil once all have results. Results that need no
// tool come first, then what concerns memory, then the calls that may run, then the questions for humans, then the handoff.
func decideCalls(s *state, r *rules) action {
	var next plan

	calls := s.current()
	for i, call := range calls {
		if s.turn.segment.finish == finishLength && i == len(calls)-1 {
			next.addCut(call, r)
		} else {
			next.add(call, r)
		}
	}

	switch {
	case len(next.settle) > 0:
		return settle{results: next.settle}
	case len(next.recall) > 0:
		return useMemory{calls: next.recall}
	case len(next.run) > 0:
		return runCalls{calls: next.run}
	case len(next.ask) > 0:
		return askHumans{questions: next.ask}
	case next.handoff != nil:
		return decideHandoff(s, r, *next.handoff)
	default:
		return nil
	}
}

func (p *plan) add(c call, r *rules) {
	if c.Result != nil {
		return
	}

	if !isObject(c.Arguments) {
		p.result(c, eventv1.ToolResult_OUTCOME_ERROR, "The arguments are not a JSON object. Write them again.")

		return
	}

	if _, ok := r.route(c.Tool); ok {
		p.addHandoff(c)

		return
	}

	if r.memory.has(c.Tool) {
		p.recall = append(p.recall, c)

		return
	}

	p.addTool(c, r)
}

// addCut settles the call that the model was writing when it ran out of tokens: what is there may even look whole.
func (p *plan) addCut(c call, r *rules) {
	switch {
	case c.Result != nil:
	case c.Started: // by a release that did not look
		p.add(c, r)
	default:
		p.result(c, eventv1.ToolResult_OUTCOME_ERROR, fmt.Sprintf(textCut, r.maxOutput))
	}
}

func (p *plan) addHandoff(c call) {
	if p.handoff != nil {
		p.result(c, eventv1.ToolResult_OUTCOME_ERROR, textSecond)

		return
	}

	p.handoff = &c
}

func (p *plan) addTool(c call, r *rules) {
	tool, known := r.tools.find(c.Tool)

	switch {
	case c.unknown || c.asked == eventv1.InputRequested_KIND_OUTCOME:
		p.addUnknown(c)
	case c.decision == eventv1.Decision_DECISION_REJECT:
		p.result(c, eventv1.ToolResult_OUTCOME_REJECTED, withComment(textRejected, c.comment))
	case c.decision == eventv1.Decision_DECISION_APPROVE:
		p.run = append(p.run, c)
	case !known && !c.Started: // else a tool service that knew it may know what became of it
		p.result(c, eventv1.ToolResult_OUTCOME_ERROR, fmt.Sprintf("There is no tool named %q.", c.Tool))
	case tool.approval || c.guarded:
		p.question(c, eventv1.InputRequested_KIND_APPROVAL, fmt.Sprintf("May %s call %s?", r.agent, c.Tool))
	default:
		p.run = append(p.run, c)
	}
}

// addUnknown settles a call that may have taken effect by what a human knows about it. It never runs again.
func (p *plan) addUnknown(c call) {
	if c.asked == eventv1.InputRequested_KIND_OUTCOME {
		switch c.decision {
		case eventv1.Decision_DECISION_HAPPENED, eventv1.Decision_DECISION_APPROVE:
			p.result(c, eventv1.ToolResult_OUTCOME_OK, withComment(textConfirmed, c.comment))

			return
		case eventv1.Decision_DECISION_DID_NOT_HAPPEN, eventv1.Decision_DECISION_REJECT:
			p.result(c, eventv1.ToolResult_OUTCOME_ERROR, withComment(textDenied, c.comment))

			return
		case eventv1.Decision_DECISION_UNSPECIFIED:
		}
	}

	p.question(c, eventv1.InputRequested_KIND_OUTCOME, c.Tool+
		" was started, and the process that ran it was lost. Did the call take effect?")
}

func (p *plan) result(c call, outcome eventv1.ToolResult_Outcome, output string) {
	p.settle = append(p.settle, settled{call: c, outcome: outcome, output: output})
}

func (p *plan) question(c call, kind eventv1.InputRequested_Kind, text string) {
	p.ask = append(p.ask, &eventv1.InputRequested{
		CallId: c.ID, Kind: kind, Tool: c.Tool, Arguments: c.Arguments, Question: text,
	})
}

func withComment(text, comment string) string {
	if comment == "" {
		return text
	}

	return text + " They said: " + comment
}

func isObject(arguments string) bool {
	var object map[string]json.RawMessage

	return json.Unmarshal([]byte(arguments), &object) == nil && object != nil
}
