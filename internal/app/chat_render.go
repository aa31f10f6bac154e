package app

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
)

// maxDetail is how much of arguments and results a line shows, in characters.
const maxDetail = 160

// renderer writes a log as a person reads it: messages as they grow, and a line for everything else.
type renderer struct {
	out   io.Writer
	paint paint
	// users says that users' messages are written too.
	users bool

	shown *shownText
	// open is the message whose line is not ended yet, and said what the last whole message was.
	open, said string
	simulated  bool
	err        error
}

func newRenderer(out io.Writer, colours paint, users bool) *renderer {
	return &renderer{out: out, paint: colours, users: users, shown: newShownText()}
}

// event writes the next event of the log. The error is the first one of the writer.
func (r *renderer) event(event *eventv1.Event) error {
	r.message(event, r.shown.apply(event))
	r.line(event)

	return r.err
}

// end ends a line that is open.
func (r *renderer) end() error {
	if r.open != "" {
		r.open = ""
		r.print("\n")
	}

	return r.err
}

// message writes what an event does to the text of a message.
func (r *renderer) message(event *eventv1.Event, change shownChange) {
	for _, id := range change.Voided {
		if r.open == id {
			_ = r.end() // the error is kept
			r.notef("what %s was writing is void", event.GetAgent())
		}
	}

	if change.Replaced && change.Text != "" {
		_ = r.end()
		r.notef("%s says instead", event.GetAgent())
	}

	if change.Text != "" {
		if r.open != change.MessageID {
			_ = r.end()
			r.print(r.paint.agent(printable(event.GetAgent())+":") + " ")
		}

		r.open = change.MessageID
		r.print(printable(change.Text))
	}

	if change.Final && r.open == change.MessageID {
		_ = r.end()
	}
}

// line writes what is no text of an agent.
func (r *renderer) line(event *eventv1.Event) {
	switch kind := event.GetKind().(type) {
	case *eventv1.Event_TurnAccepted:
		if r.users {
			r.linef("%s %s", r.paint.bold("you:"), printable(kind.TurnAccepted.GetText()))
		}
	case *eventv1.Event_AgentMessage:
		r.calls(kind.AgentMessage)
	case *eventv1.Event_ToolProgress:
		r.linef("    %s", r.paint.dim(oneLine(progress(kind.ToolProgress))))
	case *eventv1.Event_ToolResult:
		r.result(kind.ToolResult)
	case *eventv1.Event_InputRequested:
		r.linef("  %s %s", r.paint.ask("?"), question(kind.InputRequested))
	case *eventv1.Event_InputResolved:
		r.linef("  %s %s", r.paint.ask("="), resolution(kind.InputResolved))
	case *eventv1.Event_Handoff:
		r.linef("  %s %s", r.paint.agent("-> "+oneLine(kind.Handoff.GetToAgent())), oneLine(kind.Handoff.GetReason()))
	case *eventv1.Event_GuardrailTriggered:
		r.linef("  %s guardrail %s stopped the %s: %s", r.paint.bad("!"), oneLine(kind.GuardrailTriggered.GetRule()),
			direction(kind.GuardrailTriggered), oneLine(kind.GuardrailTriggered.GetMessage()))
	case *eventv1.Event_RevisionChanged:
		changed := kind.RevisionChanged
		r.notef("%s goes on as revision %s: %s was %s", changed.GetAgent(), changed.GetToRevision(), changed.GetFromRevision(),
			changed.GetCause())
	case *eventv1.Event_SegmentRestarted:
		r.notef("%s was restarted and goes on", kind.SegmentRestarted.GetAgent())
	case *eventv1.Event_CancelRequested:
		r.notef("asked to cancel")
	default:
		r.aside(event)
	}
}

// aside writes what an answer draws on, and what was done to it.
func (r *renderer) aside(event *eventv1.Event) {
	switch kind := event.GetKind().(type) {
	case *eventv1.Event_GuardrailApplied:
		r.guardrail(kind.GuardrailApplied)
	case *eventv1.Event_DocumentsRetrieved:
		r.retrieved(kind.DocumentsRetrieved)
	case *eventv1.Event_MemoriesRecalled:
		r.recalled(kind.MemoriesRecalled)
	default:
		r.ending(event)
	}
}

// ending writes how a turn ended.
func (r *renderer) ending(event *eventv1.Event) {
	switch kind := event.GetKind().(type) {
	case *eventv1.Event_TurnCompleted:
		if text := kind.TurnCompleted.GetText(); text != "" && text != r.said {
			r.linef("%s %s", r.paint.agent(printable(event.GetAgent())+":"), printable(text))
		}

		if r.simulated {
			r.notef("simulated: no model was called")
		}
	case *eventv1.Event_TurnFailed:
		r.linef("%s %s (%s)", r.paint.bad("failed:"), oneLine(kind.TurnFailed.GetMessage()), oneLine(kind.TurnFailed.GetReason()))
	case *eventv1.Event_TurnCancelled:
		r.linef("%s", r.paint.bad("cancelled"))
	}
}

// guardrail writes what a guardrail did short of a stop. That it found nothing wrong is not worth a line.
func (r *renderer) guardrail(applied *eventv1.GuardrailApplied) {
	rule, message := applied.GetRule(), applied.GetMessage()

	switch applied.GetAction() {
	case eventv1.GuardrailApplied_ACTION_REDACTED:
		r.notef("guardrail %s: %s", rule, message)
	case eventv1.GuardrailApplied_ACTION_REPAIR:
		r.notef("guardrail %s has the answer written again: %s", rule, message)
	case eventv1.GuardrailApplied_ACTION_UNDECIDED:
		r.notef("guardrail %s could not decide: %s", rule, message)
	case eventv1.GuardrailApplied_ACTION_UNSPECIFIED, eventv1.GuardrailApplied_ACTION_CHECKED:
	}
}

// retrieved writes which documents an answer draws on, each once.
func (r *renderer) retrieved(told *eventv1.DocumentsRetrieved) {
	var names []string

	for _, passage := range told.GetPassages() {
		if name := oneLine(passage.GetDocument()); !slices.Contains(names, name) {
			names = append(names, name)
		}
	}

	if len(names) > 0 {
		r.notef("looked up %s", strings.Join(names, ", "))
	}

	if told.GetProblem() != "" {
		r.notef("documents: %s", oneLine(told.GetProblem()))
	}
}

// recalled writes how many memories an answer draws on.
func (r *renderer) recalled(told *eventv1.MemoriesRecalled) {
	if found := len(told.GetMemories()); found > 0 {
		r.notef("recalled %d from memory", found)
	}

	if told.GetProblem() != "" {
		r.notef("memory: %s", oneLine(told.GetProblem()))
	}
}

// calls writes what the model wants to run, but for handoffs, which have a line of their own.
func (r *renderer) calls(message *eventv1.AgentMessage) {
	r.said = message.GetText()
	r.simulated = message.GetSimulated()

	for _, call := range message.GetToolCalls() {
		if !strings.HasPrefix(call.GetTool(), "handoff_to_") {
			r.linef("  %s %s", r.paint.bold("* "+oneLine(call.GetTool())), r.paint.dim(clip(oneLine(call.GetArguments()), maxDetail)))
		}
	}
}

func (r *renderer) result(result *eventv1.ToolResult) {
	if strings.HasPrefix(result.GetTool(), "handoff_to_") && result.GetOutcome() == eventv1.ToolResult_OUTCOME_OK {
		return
	}

	word := r.paint.bad(outcome(result.GetOutcome()))
	if result.GetOutcome() == eventv1.ToolResult_OUTCOME_OK {
		word = r.paint.good(outcome(result.GetOutcome()))
	}

	r.linef("    %s %s%s", oneLine(result.GetTool()), word+took(result.GetDuration()),
		r.paint.dim(" "+clip(oneLine(result.GetOutput()), maxDetail)))
}

func (r *renderer) notef(format string, args ...any) {
	r.linef("  %s", r.paint.dim("("+oneLine(fmt.Sprintf(format, args...))+")"))
}

func (r *renderer) linef(format string, args ...any) {
	_ = r.end() // the error is kept
	r.print(fmt.Sprintf(format, args...) + "\n")
}

func (r *renderer) print(text string) {
	if r.err == nil {
		_, r.err = io.WriteString(r.out, text)
	}
}

// outcome is a tool result's outcome as people say it: ok, error, rejected, cancelled, unknown.
func outcome(of eventv1.ToolResult_Outcome) string {
	return strings.ToLower(strings.TrimPrefix(of.String(), "OUTCOME_"))
}

// decided is a decision as people say it: approve, reject, happened, did not happen.
func decided(decision eventv1.Decision) string {
	return strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(decision.String(), "DECISION_")), "_", " ")
}

func direction(triggered *eventv1.GuardrailTriggered) string {
	return strings.ToLower(strings.TrimPrefix(triggered.GetDirection().String(), "DIRECTION_"))
}

func took(duration *durationpb.Duration) string {
	if duration == nil {
		return ""
	}

	return " in " + duration.AsDuration().Round(time.Millisecond).String()
}

func progress(progress *eventv1.ToolProgress) string {
	text := progress.GetMessage()
	if progress.GetTotal() > 0 {
		text += fmt.Sprintf(" (%g of %g)", progress.GetProgress(), progress.GetTotal())
	}

	return text
}

func question(request *eventv1.InputRequested) string {
	text := cmp.Or(request.GetQuestion(), "May "+request.GetTool()+" run?")

	return oneLine(fmt.Sprintf("%s  [%s %s]", text, request.GetTool(), clip(request.GetArguments(), maxDetail)))
}

func resolution(resolved *eventv1.InputResolved) string {
	text := decided(resolved.GetDecision())
	if resolved.GetBy() != "" {
		text += " by " + resolved.GetBy()
	}

	if resolved.GetComment() != "" {
		text += ": " + resolved.GetComment()
	}

	return oneLine(text)
}
