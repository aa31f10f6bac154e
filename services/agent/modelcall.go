package agent

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
)

// stream calls the model, showing and keeping the text as it comes. With output guardrails that need the whole text
// nothing is shown before they have passed it.
func (x *execution) stream(next callModel, id string) (*answer, error) {
	recorder := newRecorder(
		func(offset int64, text string) { x.showDelta(next.step, id, offset, text) },
		func(offset int64, text string) error { return x.keepPart(next.step, id, offset, text) },
	)

	length := 0
	answer, err := x.chat(next, func(text string) {
		length += len(text)
		if text != "" && showable(x.rules.output, length) > 0 {
			recorder.write(text)
		}
	})

	if kept := recorder.close(); kept != nil {
		return nil, kept
	}

	return answer, err
}

func (x *execution) request(next callModel) modelRequest {
	return modelRequest{
		system: next.system + x.library(), prompt: next.prompt, tools: x.rules.tools.tools, routes: x.rules.routes,
		maxOutput: x.rules.maxOutput,
	}
}

// ask calls the model; while the ambassador can't be reached it tries again until the turn's deadline.
func (x *execution) ask(ctx context.Context, request modelRequest, show func(string)) (*answer, error) {
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, 2*time.Second) {
		answer, err := x.service.model.call(ctx, request, show)

		switch {
		case err == nil:
			x.service.metrics.used(ctx, answer.usage)

			return answer, x.checkCalls(answer)
		case x.work.Err() != nil:
			return nil, x.cause()
		case !errors.Is(err, errUnreachable):
			return nil, &modelError{error: &failure{fail{
				reason: reasonProvider, message: fmt.Sprintf("the model %q did not answer: %v", x.rules.model, err),
			}}, class: classOf(err)}
		}

		x.logger.WarnContext(ctx, "the ambassador can't be reached", "error", err)
		pause(ctx, wait)
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

// library asks the retriever once per segment and execution. A turn goes on without documents.
func (x *execution) library() string {
	retriever := x.service.config.Retriever
	if retriever == nil || x.retrieved {
		return x.documents
	}

	x.retrieved = true

	found, err := retriever.Retrieve(x.work, x.state.turn.text)
	if err != nil {
		x.logger.WarnContext(x.work, "no documents", "error", err)

		return ""
	}

	var text strings.Builder
	for _, document := range found {
		fmt.Fprintf(&text, "\n\nDocument %q:\n%s", document.Title, document.Text)
	}

	x.documents = text.String()

	return x.documents
}
