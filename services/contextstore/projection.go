package contextstore

import (
	"maps"
	"time"

	"google.golang.org/grpc/codes"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
	"github.com/serinhq/serin/internal/fault"
)

// dispatchGrace is how long a new owner has to take the lease before a dispatcher sends the turn again.
const dispatchGrace = 2 * time.Second

// rows are the rows that an append reads and changes.
type rows struct {
	conversation Conversation
	// turn is nil if the events belong to none, or to one that they begin.
	turn *Turn
	// pinned is the revision that the turn's owner must have had before the append; empty if any would have done.
	pinned string
	// calls are those that the events name, by id.
	calls map[string]Call
	// revised are the ids of the calls that changed, in order.
	revised []string
	// turnRevised and conversationRevised say whether those rows changed.
	turnRevised, conversationRevised bool
}

// appended is an append as the store decided it: the rows after it, and the events as they stand in the log.
type appended struct {
	rows

	events []*eventv1.Event
	// outcomes are what segments came to.
	outcomes []*contextv1.Outcome
}

// project applies events that the writer appends to the rows before them. It changes nothing that it was given.
func project(before rows, by writer, events []*eventv1.Event, now time.Time) (appended, error) {
	log := projection{rows: before.clone(), by: by, now: now}

	if err := log.admit(); err != nil {
		return appended{}, err
	}

	for _, event := range events {
		if err := log.apply(log.stamp(event)); err != nil {
			return appended{}, err
		}
	}

	return appended{rows: log.rows, events: log.events, outcomes: log.outcomes}, nil
}

func (r rows) clone() rows {
	if r.turn != nil {
		turn := r.turn.clone()
		r.turn = &turn
	}

	calls := make(map[string]Call, len(r.calls))
	maps.Copy(calls, r.calls)
	r.calls, r.revised, r.turnRevised, r.conversationRevised = calls, nil, false, false

	return r
}

// projection is an append in the making.
type projection struct {
	rows

	by       writer
	now      time.Time
	events   []*eventv1.Event
	outcomes []*contextv1.Outcome
	// passed says that the writer gave the turn away: nothing may follow.
	passed bool
}

// admit decides whether the writer may append to the turn at all.
func (p *projection) admit() error {
	if p.by.lease == nil {
		return nil
	}

	if ended(p.turn.GetStatus()) {
		return turnEnded(p.turn)
	}

	if p.turn.GetEpoch() != p.by.lease.GetEpoch() {
		return staleEpoch(p.by.lease, p.turn)
	}

	if p.by.role == roleGateway {
		return nil
	}

	if p.turn.GetLeaseHolder() == "" {
		return released(p.turn)
	}

	return p.by.owns(p.turn)
}

// stamp returns the event as it stands in the log: with its place, its time, and what the turn says about it.
func (p *projection) stamp(event *eventv1.Event) *eventv1.Event {
	p.conversation.Version++
	p.conversation.UpdatedAt = p.now

	stamped := &eventv1.Event{
		Sequence: p.conversation.Version, ConversationId: p.conversation.ID, Time: timestamp(p.now),
		TurnId: event.GetTurnId(), Agent: event.GetAgent(), Revision: event.GetRevision(),
		Segment: event.GetSegment(), Step: event.GetStep(), Kind: event.GetKind(),
	}

	if p.turn != nil {
		stamped.TurnId, stamped.Epoch = p.turn.GetTurnId(), p.turn.GetEpoch()
	}

	if p.by.role == roleAgent && p.turn != nil {
		stamped.Agent, stamped.Segment = p.turn.GetAgent(), p.turn.GetSegment()
		stamped.Revision = firstOf(event.GetRevision(), p.turn.Revision)
	}

	p.events = append(p.events, stamped)

	return stamped
}

// apply is the meaning of each event.
func (p *projection) apply(event *eventv1.Event) error {
	if p.passed {
		return fault.Invalid(fault.Violation{
			Field: "events", Message: "nothing can follow the event that ends, passes on or suspends the turn; append it last",
		})
	}

	p.count(event)

	switch kind := event.GetKind().(type) {
	case *eventv1.Event_TurnAccepted:
		return p.accept(event)
	case *eventv1.Event_StepStarted:
		p.changed().reserve(event)
	case *eventv1.Event_AgentMessage:
		p.changed().settle(event, kind.AgentMessage.GetUsage())

		return p.propose(event)
	case *eventv1.Event_GuardrailApplied:
		p.guard(event, kind.GuardrailApplied)
	case *eventv1.Event_ToolResult:
		return p.record(event)
	case *eventv1.Event_InputRequested:
		return p.ask(kind.InputRequested)
	case *eventv1.Event_InputResolved:
		return p.answer(kind.InputResolved)
	case *eventv1.Event_TurnWaiting:
		return p.wait(kind.TurnWaiting)
	case *eventv1.Event_Handoff:
		return p.pass(kind.Handoff)
	case *eventv1.Event_CancelRequested:
		return p.cancel(kind.CancelRequested)
	case *eventv1.Event_TurnCompleted:
		p.conclude(contextv1.Outcome_KIND_COMPLETED)
		p.end(contextv1.TurnStatus_TURN_STATUS_COMPLETED)
	case *eventv1.Event_TurnFailed:
		return p.fail(kind.TurnFailed)
	case *eventv1.Event_TurnCancelled:
		p.conclude(contextv1.Outcome_KIND_CANCELLED)
		p.end(contextv1.TurnStatus_TURN_STATUS_CANCELLED)
	case *eventv1.Event_FeedbackGiven:
		p.judge(kind.FeedbackGiven)
	}

	return nil // message_part and guardrail_triggered imply nothing but what is counted
}

// guard books what a guardrail's model call used: one of its own, or that of a step whose answer did not fit.
func (p *projection) guard(event *eventv1.Event, applied *eventv1.GuardrailApplied) {
	switch {
	case applied.GetAction() == eventv1.GuardrailApplied_ACTION_REPAIR:
		p.changed().settle(event, applied.GetUsage())
	case applied.GetUsage() != nil:
		p.changed().spend(applied.GetUsage())
	}
}

// count adds what the executor does to the segment's tally.
func (p *projection) count(event *eventv1.Event) {
	if p.by.role != roleAgent {
		return
	}

	if tally := p.turn.Tally.counting(event, p.now); tally != p.turn.Tally {
		p.changed().Tally = tally
	}
}

// changed returns the turn to be changed.
func (p *projection) changed() *Turn {
	p.turnRevised = true

	return p.turn
}

// keep takes a changed call into the rows.
func (p *projection) keep(call Call) {
	p.calls[call.ID] = call
	p.revised = append(p.revised, call.ID)
}

// turnEnded is the fault for writing to a turn that has ended.
func turnEnded(turn *Turn) error {
	return fault.New(codes.FailedPrecondition, "TURN_ENDED", "turn %s has ended (%s)",
		turn.GetTurnId(), turn.GetStatus()).With("status", turn.GetStatus().String())
}

// staleEpoch is the fault for writing under a lease that another has replaced.
func staleEpoch(lease *contextv1.LeaseRef, turn *Turn) error {
	return fault.New(codes.FailedPrecondition, "STALE_EPOCH", "turn %s is at epoch %d, not %d: another executor took over",
		turn.GetTurnId(), turn.GetEpoch(), lease.GetEpoch())
}

// released is the fault for writing under a lease that was given back.
func released(turn *Turn) error {
	return fault.New(codes.FailedPrecondition, "STALE_EPOCH", "nobody holds the lease of turn %s: acquire it again",
		turn.GetTurnId())
}

// leaseHeld is the fault for wanting a turn that another executes.
func leaseHeld(turn *Turn) error {
	expires := turn.GetLeaseExpiresAt().AsTime().Format(time.RFC3339Nano)

	return fault.New(codes.FailedPrecondition, "LEASE_HELD", "turn %s is executed by %s until %s",
		turn.GetTurnId(), turn.GetLeaseHolder(), expires).
		With("holder", turn.GetLeaseHolder()).With("expires_at", expires)
}
