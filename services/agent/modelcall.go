package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
	"github.com/serinhq/serin/internal/telemetry"
)

// stream calls the model, showing and keeping the text as it comes. With output guardrails that need the whole text
// nothing is shown before they have passed it.
func (x *execution) stream(next callModel, id string) (*answer, error) {
	recorder := newRecorder(
		func(offset int64, text string) { x.showDelta(next.step, id, offset, text) },
		func(offset int64, text string) error { return x.keepPart(next.step, id, offset, text) },
	)

	length, restored := 0, next.veil.stream()
	show := func(text string) {
		length += len(text)
		if text != "" && x.rules.form == nil && showable(x.rules.output, length) > 0 {
			x.spoke()
			recorder.write(text)
		}
	}

	answer, err := x.chat(x.work, x.request(next), func(text string) { show(restored.Write(text)) }, x.ask,
		telemetry.SegmentStep.Int(int(next.step)))
	if err == nil {
		show(restored.Close())
		x.restore(next, answer)

		err = x.checkCalls(answer)
	}

	if kept := recorder.close(); kept != nil {
		return nil, kept
	}

	return answer, err
}

// spoke records how long the user waited for the turn's first words: those that are shown while the model writes, or the
// first whole message if it is withheld until then.
func (x *execution) spoke() {
	if x.spoken || x.state.turn.accepted.IsZero() {
		return
	}

	x.spoken = true
	x.service.metrics.firstToken(x.life, x.state.turn.accepted)
}

// restore gives the answer the values that the model has not seen. Tools get them unless the agent's file says otherwise;
// handoffs stay within the platform.
func (x *execution) restore(next callModel, answer *answer) {
	answer.text = next.veil.restore(answer.text)

	for _, call := range answer.calls {
		if _, handoff := x.rules.route(call.GetTool()); handoff || !x.rules.redaction.fromTools() {
			call.Arguments = next.veil.restore(call.GetArguments())
		}
	}
}

func (x *execution) request(next callModel) modelRequest {
	return modelRequest{
		system: next.system, prompt: next.prompt, tools: slices.Concat(x.rules.tools.tools, x.rules.memory.tools), routes: x.rules.routes,
		maxOutput: x.rules.maxOutput, format: x.rules.form.format(),
	}
}

// ask calls the agent's model until the turn's deadline.
func (x *execution) ask(ctx context.Context, request modelRequest, show func(string)) (*answer, error) {
	answer, err := x.reach(ctx, request, show)

	switch {
	case err == nil:
		return answer, nil
	case x.work.Err() != nil:
		return nil, x.cause()
	default:
		return nil, &modelError{error: &failure{fail{
			reason: reasonProvider, message: fmt.Sprintf("the model %q did not answer: %v", x.rules.model, err),
		}}, class: classOf(err)}
	}
}

// reach calls a model; while the ambassador can't be reached it tries again for as long as ctx lasts.
func (x *execution) reach(ctx context.Context, request modelRequest, show func(string)) (*answer, error) {
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, 2*time.Second) {
		answer, err := x.service.model.call(ctx, request, show)
		if err == nil {
			x.service.metrics.used(ctx, answer.usage)
		}

		if !errors.Is(err, errUnreachable) || ctx.Err() != nil {
			return answer, err
		}

		x.logger.WarnContext(ctx, "the ambassador can't be reached", "error", err)
		pause(ctx, wait)

		if ctx.Err() != nil { // so that the error says that nothing was sent
			return nil, err
		}
	}
}

// checkCalls refuses calls that the log can't hold.
func (x *execution) checkCalls(answer *answer) error {
	for _, call := range answer.calls {
		if len(call.GetArguments()) > 262144 {
			return &failure{fail{reason: reasonProvider, message: fmt.Sprintf(
				"the model %q wrote %d bytes of arguments for %s: at most 262144 are allowed",
				x.rules.model, len(call.GetArguments()), call.GetTool())}}
		}
	}

	return nil
}

func (x *execution) showDelta(step int32, id string, offset int64, text string) {
	x.shown.show(x.stamp(step, &eventv1.Event{Kind: &eventv1.Event_TextDelta{TextDelta: &eventv1.TextDelta{
		MessageId: id, Offset: offset, Text: text,
	}}}))
}

func (x *execution) keepPart(step int32, id string, offset int64, text string) error {
	part := x.stamp(step, &eventv1.Event{Kind: &eventv1.Event_MessagePart{MessagePart: &eventv1.MessagePart{
		MessageId: id, Offset: offset, Text: text,
	}}})

	return x.journal.append(x.life, []*eventv1.Event{part})
}
