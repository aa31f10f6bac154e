package contextstore

import (
	"strings"
	"time"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
)

const (
	// maxReason is how many bytes of a failure's reason an outcome keeps.
	maxReason = 128
	// reasonDied is why a segment was lost whose executor neither gave its lease back nor was fenced.
	reasonDied = "EXECUTOR_DIED"
)

// outcome returns what the segment came to, if it ends now.
func (t *Turn) outcome(kind contextv1.Outcome_Kind, now time.Time) *contextv1.Outcome {
	ended := t.Tally.Outcome()
	ended.Kind, ended.Agent, ended.Revision = kind, t.GetAgent(), t.Revision
	ended.ConversationId, ended.TurnId, ended.Segment = t.GetConversationId(), t.GetTurnId(), t.GetSegment()
	ended.EndedAt = timestamp(now)

	if t.Phase == PhaseFresh {
		ended.Segment++ // the one that nobody began
	}

	if ended.GetBeganAt() == nil {
		ended.BeganAt = ended.GetEndedAt()
	}

	return ended
}

// lost returns what became of the executor that is being replaced by a holder, or nil if there was none. It ended with
// its lease. One that comes back for the turn itself was late, but has not died.
func (t *Turn) lost(by string, now time.Time) *contextv1.Outcome {
	if t.Phase != PhaseExecuting {
		return nil
	}

	if until := t.GetLeaseExpiresAt().AsTime(); until.Before(now) {
		now = until
	}

	lost := t.outcome(contextv1.Outcome_KIND_LOST, now)
	if holder := t.GetLeaseHolder(); holder != "" && processOf(holder) != processOf(by) {
		lost.Reason = reasonDied
	}

	return lost
}

// processOf is the process of a lease's holder: what stands before the slash, where its executions have names of their own.
func processOf(holder string) string {
	process, _, _ := strings.Cut(holder, "/")

	return process
}

// opinion returns what a user said of the turn's last segment.
func (t *Turn) opinion(feedback *eventv1.FeedbackGiven, pinned string, now time.Time) *contextv1.Outcome {
	kind := contextv1.Outcome_KIND_THUMBS_UP
	if feedback.GetRating() == eventv1.FeedbackGiven_RATING_DOWN {
		kind = contextv1.Outcome_KIND_THUMBS_DOWN
	}

	of := *t
	of.Tally = Tally{BeganAt: t.Tally.BeganAt}

	said := of.outcome(kind, now)
	said.Revision = firstOf(t.Revision, pinned)

	return said
}

// conclude ends the segment's part so far. What follows is counted anew.
func (p *projection) conclude(kind contextv1.Outcome_Kind) *contextv1.Outcome {
	ended := p.turn.outcome(kind, p.now)
	p.outcomes = append(p.outcomes, ended)

	return ended
}

// concludeFailed is conclude for a turn that failed. Where no executor was at it, the revision to blame is the one that
// should have been.
func (p *projection) concludeFailed(failed *eventv1.TurnFailed) {
	ended := p.conclude(contextv1.Outcome_KIND_FAILED)
	ended.Reason = shortened(failed.GetReason())
	ended.ByCaller = p.by.role == roleGateway

	if p.turn.Phase != PhaseExecuting {
		ended.Revision = p.pinned
	}
}

// judge notes a user's opinion of the turn, if it is about one.
func (p *projection) judge(feedback *eventv1.FeedbackGiven) {
	if p.turn != nil {
		p.outcomes = append(p.outcomes, p.turn.opinion(feedback, p.pinned, p.now))
	}
}

func shortened(reason string) string {
	if len(reason) <= maxReason {
		return reason
	}

	return strings.ToValidUTF8(reason[:maxReason], "")
}
