package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/reflect/protoreflect"

	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
)

func newConversationsEventsCommand(env *Env) *cobra.Command {
	var (
		endpoint endpointFlags
		from     int64
		follow   bool
		format   *outputFormat
	)

	command := &cobra.Command{
		Use:   "events ID",
		Short: "Print the log of a conversation",
		Example: `  serin conversations events c01j...
  serin conversations events c01j... --from 12 -o json   # one event per line
  serin conversations events c01j... --follow            # and what comes, until Ctrl-C`,
		Args: oneArg("ID"),
		RunE: func(command *cobra.Command, args []string) error {
			if from < 0 {
				return usageErrorf("--from %d: sequences count from 1", from)
			}

			return withClient(&endpoint, func(c *client) error {
				printer := &eventPrinter{out: env.Stdout, format: *format, paint: paint{env.colours()}}
				if follow {
					return followEvents(command.Context(), c, args[0], from, printer.print)
				}

				return eachEvent(command.Context(), c, args[0], from, printer.print)
			})
		},
	}

	endpoint.register(command.Flags(), env)
	command.Flags().Int64Var(&from, "from", 1, "first sequence to print")
	command.Flags().BoolVarP(&follow, "follow", "f", false, "go on with what comes, token deltas included")
	format = outputFlag(command.Flags(), formatText, formatJSON, formatYAML)

	return command
}

// followEvents prints a log and what comes until the context ends, which is how a person ends it. It opens the stream
// again when it is cut.
func followEvents(ctx context.Context, c *client, id string, from int64, show func(*eventv1.Event) error) error {
	if _, err := c.get(ctx, id); err != nil {
		return err
	}

	watch := &logWatch{client: c, conversation: id, after: max(from-1, 0), show: show}

	if err := watch.run(ctx); ctx.Err() == nil {
		return err
	}

	return nil
}

// logWatch follows a whole log over as many streams as it takes.
type logWatch struct {
	client       *client
	conversation string
	after        int64
	show         func(*eventv1.Event) error
}

func (w *logWatch) run(ctx context.Context) error {
	retry := newRetry(nil)

	for {
		before := w.after

		err := w.once(ctx)
		if !isTransient(err) {
			return err
		}

		if w.after > before {
			retry.reset()
		}

		if err := retry.wait(ctx, err); err != nil {
			return err
		}
	}
}

func (w *logWatch) once(ctx context.Context) error {
	stream, err := w.client.follow(ctx, w.conversation, w.after)
	if err != nil {
		return err
	}
	defer stream.close()

	for {
		event, err := stream.next()
		if err != nil {
			return err
		}

		if event.GetSequence() != 0 && event.GetSequence() <= w.after {
			continue
		}

		w.after = max(w.after, event.GetSequence())

		if err := w.show(event); err != nil {
			return &showError{err}
		}
	}
}

// eventPrinter prints events one by one, so that a follower sees them at once.
type eventPrinter struct {
	out    io.Writer
	format outputFormat
	paint  paint
	begun  bool
}

const eventLine = "%-5s %-12s %-14s %-20s %s\n"

func (p *eventPrinter) print(event *eventv1.Event) error {
	if p.format != formatText {
		return printLine(p.out, p.format, event)
	}

	var header error
	if !p.begun {
		p.begun = true
		_, header = io.WriteString(p.out, p.paint.bold(fmt.Sprintf(eventLine, "SEQ", "TIME", "AGENT", "EVENT", "DETAIL")))
	}

	sequence := "-"
	if event.GetSequence() > 0 {
		sequence = strconv.FormatInt(event.GetSequence(), 10)
	}

	name, detail := eventDetail(event)
	_, err := fmt.Fprintf(p.out, eventLine, sequence, localTime(event.GetTime(), "15:04:05.000"),
		cmp.Or(oneLine(event.GetAgent()), "-"), name, clip(oneLine(detail), maxDetail))

	if err = errors.Join(header, err); err != nil {
		return fmt.Errorf("write output: %w", err)
	}

	return nil
}

// eventDetail is the name of an event's kind and its fields in short, as key=value.
func eventDetail(event *eventv1.Event) (name, detail string) {
	reflected := event.ProtoReflect()

	kind := reflected.WhichOneof(reflected.Descriptor().Oneofs().ByName("kind"))
	if kind == nil {
		return "unknown", "of a kind that this version does not know"
	}

	parts := []string{}
	inner := reflected.Get(kind).Message()
	fields := inner.Descriptor().Fields()

	for i := range fields.Len() {
		if field := fields.Get(i); inner.Has(field) {
			parts = append(parts, string(field.Name())+"="+fieldText(inner.Get(field), field))
		}
	}

	return string(kind.Name()), strings.Join(parts, " ")
}

// fieldText is a field's value in short: texts in quotes, times as times, messages as JSON.
func fieldText(value protoreflect.Value, field protoreflect.FieldDescriptor) string {
	switch {
	case field.IsList() || field.IsMap():
		return fmt.Sprintf("(%d)", listLength(value, field))
	case field.Kind() == protoreflect.EnumKind:
		if known := field.Enum().Values().ByNumber(value.Enum()); known != nil {
			return string(known.Name())
		}
	case field.Kind() == protoreflect.StringKind:
		if text := value.String(); strings.ContainsAny(text, " \"\n") || text == "" {
			return fmt.Sprintf("%q", text)
		}
	case field.Kind() == protoreflect.MessageKind:
		return messageText(value.Message())
	}

	return value.String()
}

func listLength(value protoreflect.Value, field protoreflect.FieldDescriptor) int {
	if field.IsMap() {
		return value.Map().Len()
	}

	return value.List().Len()
}

func messageText(inner protoreflect.Message) string {
	if timed, ok := inner.Interface().(interface{ AsTime() time.Time }); ok {
		return timed.AsTime().Format(time.RFC3339)
	}

	if lasting, ok := inner.Interface().(interface{ AsDuration() time.Duration }); ok {
		return lasting.AsDuration().String()
	}

	data, err := marshal(inner.Interface())
	if err != nil {
		return "?"
	}

	return string(data)
}
