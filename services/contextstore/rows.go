package contextstore

import (
	"time"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
)

// Conversation is the row of a conversation. Its active turn and its pins are rows of their own.
type Conversation struct {
	ID            string
	RequestID     string
	RequestDigest string
	Tenant        string
	User          string
	Agent         string
	Version       int64
	ActiveTurnID  string
	CreatedAt     time.Time
	UpdatedAt     time.Time
}

// Phase says what the next lease on a turn does to its segment.
type Phase int

// The phases of a turn's segment. Their numbers are stored.
const (
	// PhaseFresh: the next lease begins a new segment.
	PhaseFresh Phase = iota + 1
	// PhaseExecuting: the next lease restarts the segment, because its executor was lost or let go.
	PhaseExecuting
	// PhaseAnswered: the next lease resumes the segment after humans were asked.
	PhaseAnswered
)

// Turn is the row of a turn: what the world sees of it, and what only the store needs.
type Turn struct {
	*contextv1.Turn

	// Revision is that of the executor that holds the lease or held it last; empty in a fresh segment.
	Revision string
	// Phase is the segment's.
	Phase Phase
	// WaitingSince is when the turn began to wait for humans; zero if it does not.
	WaitingSince time.Time
	// CancelBy and CancelReason are those of the first cancel_requested.
	CancelBy, CancelReason string
	// Reserved is the budget of the step that runs.
	Reserved Reservation
	// Forced are the revisions by agent that its turn_accepted forces where the conversation has no pin.
	Forced map[string]string
	// Tally is what the segment came to so far.
	Tally Tally

	// Pin is the conversation's pin of the turn's agent. A reader fills it in; PutTurn does not store it.
	Pin Pin
}

// Pin is the revision that a conversation keeps of an agent.
type Pin struct {
	// Revision is as pinned; empty if none is.
	Revision string
	// Questioned says that a withdrawal names the revision: whether it is in force is for the withdrawals to say.
	Questioned bool
}

// Reservation is what a step set aside until its usage is known.
type Reservation struct {
	Segment, Step int32
	Tokens        int64
	// CostMicros is in millionths of a US dollar.
	CostMicros int64
}

// CallState says how far a tool call got.
type CallState int

// The states of a call. Their numbers are stored.
const (
	// CallProposed: a message asks for it.
	CallProposed CallState = iota + 1
	// CallClaimed: a process was allowed to run it.
	CallClaimed
	// CallUnknown: the process that claimed it was lost and it must not run again. Only a result ends this state.
	CallUnknown
	// CallCompleted: its result is in the log.
	CallCompleted
)

// Call is the row of a tool call.
type Call struct {
	ConversationID  string
	ID              string
	TurnID          string
	Tool            string
	ArgumentsDigest string

	// Agent, Revision, Segment and Step are those of the message that asked for it.
	Agent, Revision string
	Segment, Step   int32

	State CallState
	// Idempotent says whether the process that claimed it may be replaced by another.
	Idempotent bool
	// Holder is the process that claimed it; empty if an agent recorded the result.
	Holder    string
	ExpiresAt time.Time

	// Approval and Outcome are the questions to humans about it.
	Approval, Outcome Question

	// Result and ResultSequence are set once it is completed.
	Result         *eventv1.ToolResult
	ResultSequence int64
}

// Question is what a human was asked about a call.
type Question struct {
	Asked    bool
	Decision eventv1.Decision
}

// Open says whether the question waits for an answer.
func (q Question) Open() bool { return q.Asked && q.Decision == eventv1.Decision_DECISION_UNSPECIFIED }

// Request is the row of an append: what made it the same request, and the first answer.
type Request struct {
	ConversationID string
	ID             string
	Digest         string
	Response       *contextv1.AppendResponse
}

// RevisionUse is how much a revision is used, whatever withdrawals say about it.
type RevisionUse struct {
	Revision string
	// Pinned is how many conversations have it as their pin.
	Pinned int64
	// Running is how many running turns an executor of it holds, even if its lease has ended.
	Running int64
	// LastActive is when a segment of it last began or ended; zero if none did.
	LastActive time.Time
}

// Withdrawal is the row of a withdrawn revision.
type Withdrawal struct {
	Agent, Revision string
	Attempt         int64
	Replacement     string
	Cause           string
	// Fenced says whether running turns lost their epoch, and FencedTurns how many.
	Fenced      bool
	FencedTurns int32
	// Position grows with every withdrawal of the agent, from 1.
	Position    int64
	WithdrawnAt time.Time
}
