package app

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"google.golang.org/grpc/codes"

	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
	"github.com/serinhq/serin/internal/fault"
)

// errLeft says that the person went away; the turn goes on without them.
var errLeft = errors.New("left; the turn goes on")

// talk is a person's side of one conversation.
type talk struct {
	env      *Env
	client   *client
	format   outputFormat
	renderer *renderer
	// command is how a person calls serin chat for the same gateway.
	command string
	lines   chan string
	// ctx ends when the person leaves. It outlives the first Ctrl-C, which only cancels the turn.
	ctx     context.Context
	leave   context.CancelCauseFunc
	signals <-chan os.Signal
	stop    func()
	forget  func() bool

	conversation string
	after        int64
	turn         string
	pending      pendingInputs
}

func newTalk(ctx context.Context, env *Env, c *client, options *chatOptions) *talk {
	t := &talk{
		env: env, client: c, format: *options.format, command: selfCommand(env) + " chat" + options.endpoint.words(env),
		renderer: newRenderer(env.Stdout, paint{env.colours()}, false),
	}
	t.signals, t.stop = env.signals()
	t.ctx, t.leave = context.WithCancelCause(context.WithoutCancel(ctx))
	t.forget = context.AfterFunc(ctx, func() {
		if context.Cause(ctx) == context.Canceled { //nolint:errorlint // a signal's cause wraps it, and has its own way
			t.leave(errLeft)
		}
	})

	return t
}

func (t *talk) close() {
	t.forget()
	t.leave(nil)
	t.stop()
	t.client.close()
}

// begin opens a conversation, or finds the one that goes on.
func (t *talk) begin(options *chatOptions) error {
	return t.unary(func() error {
		if options.conversation == "" {
			return t.create(options.agent)
		}

		return t.find(options.conversation)
	})
}

func (t *talk) create(agent string) error {
	created, err := t.client.create(t.ctx, agent)
	if err != nil {
		return err
	}

	t.conversation, t.after = created.GetConversationId(), created.GetVersion()
	t.tellf("conversation %s", t.conversation)

	return nil
}

func (t *talk) find(conversation string) error {
	found, err := t.client.get(t.ctx, conversation)
	if err != nil {
		return err
	}

	t.conversation, t.after = found.GetConversationId(), found.GetVersion()

	if active := found.GetActiveTurn(); active != nil {
		t.turn, t.pending = active.GetTurnId(), active.GetPendingInputs()
	}

	return nil
}

// tellf says something about the conversation that is not part of it: on standard error, so that output stays clean.
func (t *talk) tellf(format string, args ...any) {
	_, _ = fmt.Fprintln(t.env.Stderr, paint{t.env.colours()}.dim(printable(fmt.Sprintf(format, args...)))) // only words
}

// say sends a message and follows the turn to its end.
func (t *talk) say(text string) error {
	return t.watch(&turnWatch{text: text})
}

// decide answers a question and follows the turn to its end.
func (t *talk) decide(call string, decision eventv1.Decision, comment string) error {
	if err := t.resolve(call, decision, comment); err != nil {
		return err
	}

	if len(t.pending) > 0 {
		return t.ask()
	}

	return t.watch(&turnWatch{turn: t.turn})
}

// resolve sends an answer, after which the question is none any more.
func (t *talk) resolve(call string, decision eventv1.Decision, comment string) error {
	return t.unary(func() (err error) {
		if t.turn, err = t.client.resolve(t.ctx, t.conversation, call, decision, comment); err == nil {
			t.pending = t.pending.without(call)
		}

		return err
	})
}

// watch shows a turn until it ends, asking what it asks.
func (t *talk) watch(watch *turnWatch) error {
	watch.client, watch.conversation, watch.after, watch.show = t.client, t.conversation, t.after, t.show

	last, err := t.interruptible(watch.run)
	t.after, t.turn = max(t.after, watch.after), watch.turn

	if err := t.renderer.end(); err != nil {
		return fmt.Errorf("write output: %w", err)
	}

	if err != nil {
		return err
	}

	switch kind := last.GetKind().(type) {
	case *eventv1.Event_TurnFailed:
		t.turn = ""

		return fault.New(codes.Aborted, kind.TurnFailed.GetReason(), "the turn failed: %s", kind.TurnFailed.GetMessage())
	case *eventv1.Event_TurnCancelled:
		t.turn = ""

		return fault.New(codes.Canceled, "CANCELLED", "the turn was cancelled")
	case *eventv1.Event_TurnWaiting:
		return t.ask()
	default:
		t.turn = ""

		return nil
	}
}

// show writes an event in the format asked for.
func (t *talk) show(event *eventv1.Event) error {
	t.pending = t.pending.apply(event)

	if t.format != formatText {
		return printLine(t.env.Stdout, t.format, event)
	}

	return t.renderer.event(event)
}

// ask puts the questions of a waiting turn to the person at the terminal, or says how to answer them.
func (t *talk) ask() error {
	if !t.env.IsTerminal || t.format != formatText {
		_, err := io.WriteString(t.env.Stderr, howToAnswer(t.command, t.client, t.conversation, t.pending))

		return err //nolint:wrapcheck // nothing to add
	}

	for len(t.pending) > 0 {
		input := t.pending[0]

		decision, comment, err := t.answer(input)
		if err != nil {
			_, _ = io.WriteString(t.env.Stderr, howToAnswer(t.command, t.client, t.conversation, t.pending)) // the error says more

			return err
		}

		if err := t.resolve(input.GetCallId(), decision, comment); err != nil {
			return err
		}
	}

	return t.watch(&turnWatch{turn: t.turn})
}

// answer asks until the answer is a yes or a no.
func (t *talk) answer(input *eventv1.InputRequested) (eventv1.Decision, string, error) {
	yes, no := choices(input.GetKind())

	for {
		line, err := t.read(fmt.Sprintf("  %s: y to %s, n to %s (a reason may follow): ", oneLine(input.GetTool()), decided(yes), decided(no)))
		if err != nil {
			return 0, "", err
		}

		if decision, comment, ok := readAnswer(input.GetKind(), line); ok {
			return decision, comment, nil
		}
	}
}

// dialogue reads messages until the person leaves.
func (t *talk) dialogue() error {
	t.tellf("/quit or Ctrl-D leaves; Ctrl-C cancels a turn")

	if err := t.catchUp(); t.isOver(err) {
		return unlessLeft(err)
	}

	for {
		line, err := t.read(t.renderer.paint.bold("you:") + " ")
		if err != nil {
			return unlessLeft(err)
		}

		switch text := strings.TrimSpace(line); text {
		case "":
		case "/quit", "/exit":
			return nil
		default:
			if err := t.say(text); t.isOver(err) {
				return unlessLeft(err)
			}
		}
	}
}

// catchUp goes on with a turn that was active when the dialogue began.
func (t *talk) catchUp() error {
	switch {
	case t.turn == "":
		return nil
	case len(t.pending) > 0:
		for _, input := range t.pending {
			t.renderer.linef("  ? %s", question(input))
		}

		return t.ask()
	default:
		return t.watch(&turnWatch{turn: t.turn})
	}
}

// isOver reports whether the dialogue ends with the error. One that only ended the turn is told, and the dialogue goes on.
func (t *talk) isOver(err error) bool {
	if err == nil {
		return false
	}

	if t.ctx.Err() != nil || errors.Is(err, io.EOF) || errors.Is(err, errLeft) {
		return true
	}

	if code := fault.CodeOf(err); code != codes.Aborted && code != codes.Canceled { // those two were shown as events
		t.env.PrintError(err)
	}

	return false
}

// unlessLeft is the error of a dialogue: leaving is none.
func unlessLeft(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, errLeft) {
		return nil
	}

	return err
}

// read asks for a line. The error is io.EOF at the end of the input, errLeft after a Ctrl-C.
func (t *talk) read(prompt string) (string, error) {
	if t.lines == nil {
		t.lines = make(chan string)
		go readLines(t.ctx, t.env.Stdin, t.lines)
	}

	if _, err := io.WriteString(t.env.Stdout, prompt); err != nil {
		return "", fmt.Errorf("write output: %w", err)
	}

	select {
	case line, ok := <-t.lines:
		if !ok {
			_, _ = io.WriteString(t.env.Stdout, "\n") // ends the prompt's line

			return "", io.EOF
		}

		return line, nil
	case <-t.signals:
		_, _ = io.WriteString(t.env.Stdout, "\n")

		return "", errLeft
	}
}

// readLines passes lines on until the input or the context ends. A read that is under way can't be ended: on a terminal
// the process ends before it.
func readLines(ctx context.Context, input io.Reader, lines chan<- string) {
	defer close(lines)

	scanner := bufio.NewScanner(input)
	scanner.Buffer(nil, 1<<20)

	for scanner.Scan() {
		select {
		case lines <- scanner.Text():
		case <-ctx.Done():
			return
		}
	}
}
