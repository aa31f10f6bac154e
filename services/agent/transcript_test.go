package agent

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
	"github.com/serinhq/serin/internal/agentspec"
)

var update = flag.Bool("update", false, "rewrite the transcripts under testdata")

// TestTranscripts replays logs and compares what the agent would do next. A transcript is a list of cases, each of them
// input lines, a line ----, and what is expected. The input of a case is
//
//	agent NAME...    a new log, seen by an agent: what it is (see transcript.agentLine)
//	as NAME...       the same log, seen by another agent
//	prompt           shows what the model would read, as well as the next action
//	next             shows the next action
//
// and events, which are added to the log (see script).
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/transcripts/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}

	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) { replay(t, file) })
	}
}

func replay(t *testing.T, file string) {
	t.Helper()

	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}

	var rewritten []string

	replayed := &transcript{t: t}

	for section := range strings.SplitSeq(strings.TrimSpace(string(data)), "\n\n") {
		input, expected, isCase := strings.Cut(section+"\n", "----\n")
		if !isCase { // a comment
			rewritten = append(rewritten, section)

			continue
		}

		got := replayed.run(input)
		if expected = strings.TrimSpace(expected); got != expected && !*update {
			t.Errorf("%s\n%s--- got:\n%s\n--- want:\n%s", file, input, got, expected)
		}

		rewritten = append(rewritten, input+"----\n"+got)
	}

	if *update {
		if err := os.WriteFile(file, []byte(strings.Join(rewritten, "\n\n")+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

type transcript struct {
	t      *testing.T
	rules  *rules
	script *script
	events []*eventv1.Event
}

func (r *transcript) run(input string) string {
	var out []string

	for line := range strings.SplitSeq(input, "\n") {
		words := split(r.t, line)

		switch {
		case len(words) == 0:
		case words[0] == "agent":
			r.rules = r.agentLine(words[1:])
			r.script, r.events = &script{t: r.t}, nil
		case words[0] == "as":
			r.rules = r.agentLine(words[1:])
		case words[0] == "next":
			out = append(out, r.show(false))
		case words[0] == "prompt":
			out = append(out, r.show(true))
		default:
			r.events = append(r.events, r.script.events(line)...)
		}
	}

	return strings.Join(out, "\n")
}

// agentLine makes rules out of NAME and any of: tools=a,b! (! needs approval), handoffs=x,y, steps=N, tokens=N, cost=USD,
// price=INPUT/OUTPUT (US dollars per million tokens) or price=MODEL (whose price nobody knows), in=WORD, out=WORD (words
// that guardrails stop).
func (r *transcript) agentLine(words []string) *rules {
	spec := agentspec.Agent{Metadata: agentspec.Metadata{Name: words[0]}}
	spec.Spec.Prompt.Inline = "You are " + words[0] + "."
	spec.Spec.Model = agentspec.Model{Name: "default", MaxOutputTokens: 50}

	var (
		set   toolset
		known prices
	)

	for _, word := range words[1:] {
		key, value, _ := strings.Cut(word, "=")
		switch key {
		case "tools":
			for name := range strings.SplitSeq(value, ",") {
				set.tools = append(set.tools, tool{name: strings.TrimSuffix(name, "!"), approval: strings.HasSuffix(name, "!")})
			}
		case "handoffs":
			for name := range strings.SplitSeq(value, ",") {
				spec.Spec.Handoffs = append(spec.Spec.Handoffs, agentspec.Handoff{Agent: name})
			}
		case "steps":
			spec.Spec.Budgets.Steps = int32(number(r.t, value))
		case "tokens":
			spec.Spec.Budgets.Tokens = number(r.t, value)
		case "cost":
			spec.Spec.Budgets.CostUSD = value
		case "price":
			known = pricesOf(r.t, value)
		case "in":
			spec.Spec.Guardrails.Input = []agentspec.Guardrail{{Name: "no-" + value, Words: []string{value}}}
		case "out":
			spec.Spec.Guardrails.Output = []agentspec.Guardrail{{Name: "no-" + value, Words: []string{value}}}
		}
	}

	made, err := newRules(spec, nil)
	if err != nil {
		r.t.Fatal(err)
	}

	made.tools, made.prices = set, known

	return made
}

func pricesOf(t *testing.T, text string) prices {
	t.Helper()

	input, output, both := strings.Cut(text, "/")
	if !both {
		return prices{missing: text}
	}

	return prices{input: float64(number(t, input)), output: float64(number(t, output))}
}

func (r *transcript) show(prompt bool) string {
	whole, checked := fold(nil, r.events), r.foldCheckpoint()

	if one, other := describeNext(decide(whole, r.rules), true), describeNext(decide(checked, r.rules), true); one != other {
		r.t.Errorf("the same log led to another action after a checkpoint:\n%s\nnot\n%s", other, one)
	}

	return describeNext(decide(whole, r.rules), prompt)
}

// foldCheckpoint folds the log as a process does that finds a checkpoint of what precedes the turn.
func (r *transcript) foldCheckpoint() *state {
	r.t.Helper()

	begins := 0

	for i, event := range r.events {
		if event.GetTurnAccepted() != nil {
			begins = i
		}
	}

	saved, err := fold(nil, r.events[:begins]).encode()
	if err != nil {
		r.t.Fatal(err)
	}

	return fold(decode(saved), r.events[begins:])
}

func describeNext(next action, prompt bool) string {
	text := describeAction(next)
	if call, ok := next.(callModel); ok && prompt {
		text += "\n" + describePrompt(call)
	}

	return text
}

func describePrompt(call callModel) string {
	lines := append(make([]string, 0, 1+len(call.prompt)), "  system: "+oneLine(call.system))
	for _, chat := range call.prompt {
		line := "  " + chat.Role + ":"
		if chat.CallID != "" {
			line = "  " + chat.Role + " " + chat.CallID + ":"
		}

		if chat.Text != "" {
			line += " " + oneLine(chat.Text)
		}

		for _, wish := range chat.Calls {
			line += fmt.Sprintf(" [%s %s %s]", wish.ID, wish.Tool, wish.Arguments)
		}

		lines = append(lines, line)
	}

	return strings.Join(lines, "\n")
}

// leaving is what a handoff leaves of a cost budget, if there is one.
func leaving(remaining *eventv1.Budget) string {
	if remaining.GetCostMicros() == 0 {
		return ""
	}

	return ", leaving " + dollars(remaining.GetCostMicros())
}

func oneLine(text string) string { return strings.ReplaceAll(text, "\n", " / ") }

func describeAction(next action) string {
	switch next := next.(type) {
	case callModel:
		text := fmt.Sprintf("call the model: step %d, reserving %d tokens", next.step, next.reserved)
		if next.cost > 0 {
			text += " and " + dollars(next.cost)
		}

		return text
	case classify:
		return "classify by " + next.guard.name
	case settle:
		lines := []string{}
		for _, settled := range next.results {
			lines = append(lines, fmt.Sprintf("settle %s %s: %s: %s", settled.call.ID, settled.call.Tool,
				strings.TrimPrefix(settled.outcome.String(), "OUTCOME_"), settled.output))
		}

		return strings.Join(lines, "\n")
	case runCalls:
		lines := []string{}
		for _, call := range next.calls {
			lines = append(lines, fmt.Sprintf("run %s %s %s", call.ID, call.Tool, call.Arguments))
		}

		return strings.Join(lines, "\n")
	case askHumans:
		lines := []string{}
		for _, question := range next.questions {
			lines = append(lines, fmt.Sprintf("ask about %s: %s", question.GetCallId(), question.GetQuestion()))
		}

		return strings.Join(lines, "\n")
	case handOff:
		return fmt.Sprintf("hand off to %s (%s): %q, %q", next.handoff.GetToAgent(),
			strings.TrimPrefix(next.handoff.GetHistory().GetMode().String(), "MODE_"), next.handoff.GetReason(), next.handoff.GetSummary()) +
			leaving(next.handoff.GetRemaining())
	case finish:
		return "finish: " + next.text
	case fail:
		return fmt.Sprintf("fail %s: %s", next.reason, next.message)
	case cancel:
		return "cancel, asked by " + next.by
	case stop:
		return "stop: " + strings.TrimPrefix(next.outcome.String(), "OUTCOME_")
	default:
		return fmt.Sprintf("%T", next)
	}
}
