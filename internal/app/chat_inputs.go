package app

import (
	"fmt"
	"strings"

	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
)

// pendingInputs are the questions to humans that a log has asked and not answered, in order.
type pendingInputs []*eventv1.InputRequested

// apply takes the next event of the log.
func (p pendingInputs) apply(event *eventv1.Event) pendingInputs {
	switch kind := event.GetKind().(type) {
	case *eventv1.Event_InputRequested:
		return append(p, kind.InputRequested)
	case *eventv1.Event_InputResolved:
		return p.without(kind.InputResolved.GetCallId())
	case *eventv1.Event_TurnCompleted, *eventv1.Event_TurnFailed, *eventv1.Event_TurnCancelled:
		return nil
	default:
		return p
	}
}

func (p pendingInputs) without(call string) pendingInputs {
	rest := pendingInputs{}

	for _, input := range p {
		if input.GetCallId() != call {
			rest = append(rest, input)
		}
	}

	return rest
}

// choices are the decisions that a question allows: for yes, and for no.
func choices(kind eventv1.InputRequested_Kind) (yes, no eventv1.Decision) {
	if kind == eventv1.InputRequested_KIND_OUTCOME {
		return eventv1.Decision_DECISION_HAPPENED, eventv1.Decision_DECISION_DID_NOT_HAPPEN
	}

	return eventv1.Decision_DECISION_APPROVE, eventv1.Decision_DECISION_REJECT
}

// readAnswer reads a person's y or n, and what follows it as the reason; false if it is neither.
func readAnswer(kind eventv1.InputRequested_Kind, line string) (decision eventv1.Decision, comment string, ok bool) {
	yes, no := choices(kind)
	word, comment, _ := strings.Cut(strings.TrimSpace(line), " ")

	switch word = strings.ToLower(word); {
	case word != "" && strings.HasPrefix("yes", word): //nolint:gocritic // y, ye and yes are all yes
		return yes, strings.TrimSpace(comment), true
	case word != "" && strings.HasPrefix("no", word): //nolint:gocritic // as above
		return no, strings.TrimSpace(comment), true
	default:
		return 0, "", false
	}
}

// howToAnswer tells someone who can't be asked here how to answer elsewhere. The command is how serin chat is called there.
func howToAnswer(command string, c *client, conversation string, pending pendingInputs) string {
	text := &strings.Builder{}

	for _, input := range pending {
		yes, no := choices(input.GetKind())
		call := input.GetCallId()

		fmt.Fprintf(text, "A person must decide about %s:\n", oneLine(input.GetTool()))
		fmt.Fprintf(text, "  %s --conversation %s --%s %s\n", command, conversation, flagName(yes), call)
		fmt.Fprintf(text, "  %s --conversation %s --%s %s --comment WHY\n", command, conversation, flagName(no), call)
		fmt.Fprintf(text, "  curl -X POST %s/v1/conversations/%s/approvals/%s -H 'Content-Type: application/json' -d '{\"decision\":%q}'\n",
			c.endpoint, conversation, call, yes.String())
	}

	return text.String()
}

// flagName is the flag of serin chat that makes a decision.
func flagName(decision eventv1.Decision) string {
	return strings.ReplaceAll(decided(decision), " ", "-")
}
