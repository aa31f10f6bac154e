package contextstore

import (
	"time"

	"google.golang.org/grpc/codes"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
	"github.com/serinhq/serin/internal/fault"
)

// acquisition is what AcquireLease decides: the turn under its lease, the pin, the events that say so, and what became
// of the executor before, if it was lost.
type acquisition struct {
	turn   Turn
	pin    string
	events []*eventv1.Event
	lost   *contextv1.Outcome
}

// acquire decides whether an executor gets the lease of a turn. A holder that has it already gets it again, without
// events.
func acquire(
	turn Turn, pin string, withdrawals []Withdrawal, request *contextv1.AcquireLeaseRequest, now time.Time,
) (acquisition, error) {
	if err := turn.acquirable(request, now); err != nil {
		return acquisition{}, err
	}

	if turn.leased(now) { // by this very holder
		return acquisition{turn: turn, pin: pin}, nil
	}

	pinned, err := pinFor(pin, turn.Forced[turn.GetAgent()], request, withdrawals)
	if err != nil {
		return acquisition{}, err
	}

	next := turn.clone()
	next.Epoch++
	next.LeaseHolder, next.LeaseExpiresAt = request.GetHolder(), timestamp(now.Add(request.GetTtl().AsDuration()))
	next.Revision, next.Tally = request.GetRevision(), turn.tallyOn(request.GetRevision(), now)

	began := next.begin()
	events := make([]*eventv1.Event, 0, 2)

	for _, event := range []*eventv1.Event{pinned, began} {
		if event != nil {
			events = append(events, next.sign(event))
		}
	}

	return acquisition{turn: next, pin: request.GetRevision(), events: events, lost: turn.lost(request.GetHolder(), now)}, nil
}

// tallyOn returns what a segment that begins, restarts or resumes on a revision has come to. To whoever waits for it, a
// segment that restarts on the same revision began when it first did.
func (t *Turn) tallyOn(revision string, now time.Time) Tally {
	if t.Phase == PhaseExecuting && t.Revision == revision && !t.Tally.BeganAt.IsZero() {
		return Tally{BeganAt: t.Tally.BeganAt}
	}

	return Tally{BeganAt: now}
}

// acquirable checks everything but the revision.
func (t *Turn) acquirable(request *contextv1.AcquireLeaseRequest, now time.Time) error {
	switch {
	case ended(t.GetStatus()):
		return turnEnded(t)
	case t.GetAgent() != request.GetAgent():
		return notOwner(t, request.GetAgent())
	case t.GetStatus() == contextv1.TurnStatus_TURN_STATUS_INPUT_REQUIRED:
		return fault.New(codes.FailedPrecondition, "TURN_WAITING", "turn %s waits for a human to decide about %v",
			t.GetTurnId(), t.GetWaitingCallIds())
	case t.leased(now) && t.GetLeaseHolder() != request.GetHolder():
		return leaseHeld(t)
	default:
		return nil
	}
}

// pinFor decides about the pin: it returns the event that sets or moves it, or nil if it stays.
func pinFor(
	pin, forced string, request *contextv1.AcquireLeaseRequest, withdrawals []Withdrawal,
) (*eventv1.Event, error) {
	revision := request.GetRevision()

	offered := resolve(withdrawals, revision)
	if offered.withdrawn {
		return nil, fault.New(codes.FailedPrecondition, "REVISION_WITHDRAWN",
			"revision %s of agent %s was withdrawn (%s): use %s", revision, request.GetAgent(), offered.cause, offered.successor).
			With("replacement", offered.successor)
	}

	if pin == "" {
		if forced = inService(withdrawals, forced); forced != "" && forced != revision {
			return nil, wrongRevision(request, forced)
		}

		return &eventv1.Event{Kind: &eventv1.Event_AgentJoined{
			AgentJoined: &eventv1.AgentJoined{Agent: request.GetAgent(), Revision: revision},
		}}, nil
	}

	held := resolve(withdrawals, pin)

	switch {
	case held.successor != revision:
		return nil, wrongRevision(request, held.successor)
	case !held.withdrawn:
		return nil, nil //nolint:nilnil // no event and no fault: the pin stays as it is
	default:
		return &eventv1.Event{Kind: &eventv1.Event_RevisionChanged{RevisionChanged: &eventv1.RevisionChanged{
			Agent: request.GetAgent(), FromRevision: pin, ToRevision: revision, Cause: held.cause,
		}}}, nil
	}
}

// wrongRevision is the fault for executing a turn on another revision than its conversation keeps.
func wrongRevision(request *contextv1.AcquireLeaseRequest, pinned string) error {
	return fault.New(codes.FailedPrecondition, "WRONG_REVISION",
		"the conversation keeps revision %s of agent %s, this is %s", pinned, request.GetAgent(), request.GetRevision()).
		With("pinned_revision", pinned)
}

// begin moves the segment on and returns the event that says how.
func (t *Turn) begin() *eventv1.Event {
	phase := t.Phase
	t.Phase = PhaseExecuting

	switch phase {
	case PhaseFresh:
		t.Segment++

		return &eventv1.Event{Kind: &eventv1.Event_SegmentStarted{
			SegmentStarted: &eventv1.SegmentStarted{Agent: t.GetAgent()},
		}}
	case PhaseAnswered:
		return &eventv1.Event{Kind: &eventv1.Event_SegmentResumed{
			SegmentResumed: &eventv1.SegmentResumed{Agent: t.GetAgent()},
		}}
	case PhaseExecuting:
		break
	}

	return &eventv1.Event{Kind: &eventv1.Event_SegmentRestarted{
		SegmentRestarted: &eventv1.SegmentRestarted{Agent: t.GetAgent()},
	}}
}

// sign fills in what the turn says about an event of the store's own.
func (t *Turn) sign(event *eventv1.Event) *eventv1.Event {
	event.TurnId, event.Agent, event.Revision = t.GetTurnId(), t.GetAgent(), t.Revision
	event.Epoch, event.Segment = t.GetEpoch(), t.GetSegment()

	return event
}

// held checks that a lease is the turn's current one, so that its holder may write.
func (t *Turn) held(lease *contextv1.LeaseRef) error {
	switch {
	case ended(t.GetStatus()):
		return turnEnded(t)
	case t.GetEpoch() != lease.GetEpoch():
		return staleEpoch(lease, t)
	case t.GetLeaseHolder() == "":
		return released(t)
	default:
		return nil
	}
}
