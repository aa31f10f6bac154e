package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
	handoffv1 "github.com/serinhq/serin/gen/serin/handoff/v1"
	"github.com/serinhq/serin/internal/fault"
)

// releaseTimeout bounds giving a lease back.
const releaseTimeout = 3 * time.Second

// execution carries out what [decide] says, under one lease. Only its own goroutine touches the state.
type execution struct {
	service *Service
	tenure  *tenure
	rules   rules
	state   *state
	lease   *lease
	journal *journal
	shown   *publisher
	logger  *slog.Logger

	// life lasts as long as writing makes sense; work, within it, ends with the deadline, a cancel or a drain.
	life, work context.Context
	// pending are events that the state has and the log does not yet.
	pending []*eventv1.Event
	// spoken says that the user has read something of this turn.
	spoken bool
	// reloads is how often the log was read again.
	reloads int
	helpers sync.WaitGroup
}

// execute runs the tenure's segment to its end for this process and sets how it ended.
func (s *Service) execute(ctx context.Context, t *tenure) {
	life, lose := context.WithCancelCause(ctx)
	defer lose(nil)

	work, stop := context.WithCancelCause(life)
	defer stop(nil)

	undo := context.AfterFunc(s.alive, func() { stop(context.Cause(s.alive)) }) //nolint:contextcheck // the service's life
	defer undo()

	x := &execution{
		service: s, tenure: t, rules: *s.rules, state: newState(), life: life, work: work,
		lease:   &lease{store: s.config.Context, ref: t.ref(), ttl: s.config.LeaseTTL, stop: stop, lose: lose},
		journal: &journal{store: s.config.Context, conversation: t.conversation, ref: t.ref(), last: t.lease.GetVersion()},
		logger: s.config.Telemetry.Logger.With("agent", s.name, "revision", s.revision,
			"conversation", t.conversation, "turn", t.turnID, "epoch", t.lease.GetTurn().GetEpoch()),
	}

	keeping, release := context.WithCancel(life)
	defer x.helpers.Wait()
	defer release()

	x.helpers.Go(func() { x.lease.keep(keeping) })

	t.outcome = x.run() //nolint:contextcheck // an execution carries its own contexts
	t.next, t.last = x.state.turn.segment.handedTo, x.journal.last
	t.route = routeTo(t.next, x.journal.turn)
}

// run folds the log and acts until the segment ends. A panic fails the turn, not the process.
func (x *execution) run() (outcome handoffv1.Finished_Outcome) {
	defer func() {
		if cause := recover(); cause != nil {
			x.logger.ErrorContext(x.life, "panic", "cause", cause, "stack", string(debug.Stack()))
			outcome = x.end(fail{reason: reasonInternal, message: "the agent met an internal error; its log says more"})
		}
	}()

	if err := x.load(); err != nil {
		return x.interrupted(err)
	}

	x.spoken = x.state.spoken()

	work, cancel := context.WithDeadline(x.work, x.state.deadline(&x.rules, turnDeadline(x.tenure.lease.GetTurn())))
	defer cancel()

	x.work = work

	x.shown = &publisher{store: x.service.config.Context, conversation: x.tenure.conversation, ref: x.tenure.ref(), ctx: x.work}
	defer x.shown.close()

	return x.loop()
}

func (x *execution) loop() handoffv1.Finished_Outcome {
	for {
		if err := errors.Join(x.refresh(), x.refreshPrices()); err != nil {
			return x.interrupted(err)
		}

		next := decide(x.state, &x.rules)
		if _, done := next.(finish); x.work.Err() != nil && !done { // an answer that is there is not thrown away
			return x.interrupted(x.cause())
		}

		outcome, err := x.act(next)
		if overtaken(err) && x.reloads < maxReloads {
			x.reloads++
			err = x.reload()
		}

		if err != nil {
			return x.interrupted(err)
		}

		if outcome != handoffv1.Finished_OUTCOME_UNSPECIFIED {
			return outcome
		}
	}
}

// act carries one action out; an outcome ends the segment.
func (x *execution) act(next action) (handoffv1.Finished_Outcome, error) {
	switch next := next.(type) {
	case consult:
		x.consult()
	case callModel:
		return 0, x.callModel(next)
	case classify:
		return 0, x.judge(0, next.guard, eventv1.GuardrailTriggered_DIRECTION_INPUT, x.state.turn.text)
	case settle:
		x.settle(next)
	case runCalls:
		return 0, x.runCalls(next)
	case useMemory:
		return 0, x.useMemory(next)
	case askHumans:
		return handoffv1.Finished_OUTCOME_INPUT_REQUIRED, x.askHumans(next)
	case handOff:
		return handoffv1.Finished_OUTCOME_HANDED_OFF, x.handOff(next)
	case stop:
		return next.outcome, nil
	case finish, fail, cancel:
		return x.end(next), nil
	}

	return 0, nil
}

// emit adds events to the state and to what the next flush writes.
func (x *execution) emit(step int32, events ...*eventv1.Event) {
	for _, event := range events {
		x.state.apply(x.stamp(step, event))
	}

	x.pending = append(x.pending, events...)
}

// noted records what is in the log now.
func (x *execution) noted(events []*eventv1.Event) {
	x.service.metrics.noted(x.life, events)

	for _, event := range events {
		if event.GetAgentMessage().GetText() != "" {
			x.spoke()
		}
	}
}

// stamp says whose event it is.
func (x *execution) stamp(step int32, event *eventv1.Event) *eventv1.Event {
	turn := x.tenure.lease.GetTurn()
	event.TurnId, event.Agent, event.Revision = turn.GetTurnId(), x.service.name, x.service.revision
	event.Epoch, event.Segment, event.Step = turn.GetEpoch(), turn.GetSegment(), step

	return event
}

// flush writes what is pending, in one transaction. While a tool service that was lost may still tell what became of a
// call, nobody else's word is taken: flush waits for the end of its claim.
func (x *execution) flush() error {
	if len(x.pending) == 0 {
		return nil
	}

	events := x.pending
	x.pending = nil

	for {
		err := x.journal.append(x.life, events)
		if err == nil {
			x.noted(events)
		}

		if !fault.Is(err, "CALL_IN_PROGRESS") {
			return err
		}

		pause(x.work, max(firstRenewal, fault.From(err).RetryAfter))

		if x.work.Err() != nil {
			return x.cause()
		}
	}
}

// refresh brings the rules' tools up to date.
func (x *execution) refresh() error {
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, 2*time.Second) {
		tools, err := x.service.tools.get(x.work)
		if err == nil {
			x.rules.tools = tools

			return nil
		}

		if x.work.Err() != nil {
			return x.cause()
		}

		if !retryable(err) {
			return &failure{fail{
				reason: reasonInternal, message: fmt.Sprintf("the tools of %s can't be listed: %v", x.service.name, err),
			}}
		}

		pause(x.work, wait)
	}
}

// cause is why the work has ended; nil while it goes on.
func (x *execution) cause() error {
	return context.Cause(x.work) //nolint:wrapcheck // compared as it is: see interrupted
}

// failure is an error that ends the turn with turn_failed.
type failure struct{ fail }

func (f *failure) Error() string { return f.message }

// interrupted ends a segment that can't go on, for whatever reason.
func (x *execution) interrupted(err error) handoffv1.Finished_Outcome {
	var failed *failure

	cause := x.cause()
	if errors.Is(cause, errDraining) && errors.As(err, &failed) && failed.guard != nil {
		cause = nil // a text that a guardrail stopped is not given to another process
	}

	if cause != nil && !lostTurn(err) {
		err = cause
	}

	switch {
	case lostTurn(err) || errors.Is(err, errSuperseded) || errors.Is(err, errLeaseLost):
		x.logger.InfoContext(x.life, "superseded", "cause", err)

		return handoffv1.Finished_OUTCOME_SUPERSEDED
	case errors.Is(err, errCancelled):
		return x.end(cancel{cancellation: x.cancellation()})
	case errors.Is(err, errDraining):
		return x.giveBack()
	case errors.Is(err, context.DeadlineExceeded):
		return x.end(fail{reason: reasonDeadline, message: "the turn did not end within its deadline (spec.budgets.deadline)"})
	case errors.As(err, &failed):
		return x.end(failed.fail)
	default:
		x.logger.ErrorContext(x.life, "segment failed", "error", err)

		return x.end(fail{reason: reasonInternal, message: fmt.Sprintf("the agent could not go on: %v", err)})
	}
}

// cancellation is what the renewal, or the log, said about who ends the turn.
func (x *execution) cancellation() cancellation {
	if heard := x.lease.cancelled.Load(); heard != nil {
		return *heard
	}

	if x.state.turn.cancel != nil {
		return *x.state.turn.cancel
	}

	return cancellation{}
}

// giveBack writes what is known and lets another process go on at once.
func (x *execution) giveBack() handoffv1.Finished_Outcome {
	ctx, cancel := context.WithTimeout(x.life, releaseTimeout)
	defer cancel()

	if events := x.pending; len(events) > 0 {
		x.pending = nil

		if err := x.journal.append(ctx, events); err != nil {
			x.logger.WarnContext(ctx, "could not write before giving the segment back", "error", err)
		}
	}

	_, err := x.service.config.Context.ReleaseLease(ctx, &contextv1.ReleaseLeaseRequest{Lease: x.tenure.ref()})
	if err != nil {
		x.logger.WarnContext(ctx, "could not release the lease", "error", err)
	}

	return handoffv1.Finished_OUTCOME_SUPERSEDED
}
