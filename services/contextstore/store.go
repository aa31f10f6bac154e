package contextstore

import (
	"context"
	"time"

	"google.golang.org/grpc/codes"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
	"github.com/serinhq/serin/internal/fault"
)

// Store keeps rows in transactions. Package storetest says how one must behave.
type Store interface {
	// Update runs fn in a serialisable transaction and commits if it returns nil. Whatever fn wrote is gone if it
	// returns an error, which is returned as it is. fn may run more than once and must set its results anew each time.
	// It reads and writes nothing but what the transaction is about.
	Update(ctx context.Context, about About, fn func(Tx) error) error
	// View runs fn on one consistent snapshot. It may run more than once, too.
	View(ctx context.Context, about About, fn func(Reader) error) error
	// Close waits for running transactions and gives everything back.
	Close() error
}

// Reader reads rows. What is not there is the zero value, but for conversations and turns: see [NoConversation] and
// [NoTurn].
type Reader interface { //nolint:interfacebloat // one method for each question to a table
	// Now is the time on the clock that all who share the store go by.
	Now() time.Time

	// Conversation returns a conversation; its version and update are those of its last event. Errors: NOT_FOUND.
	Conversation(conversationID string) (Conversation, error)
	// ConversationByRequest returns the conversation that a request opened, or one without an id.
	ConversationByRequest(requestID string) (Conversation, error)
	// Conversations returns up to limit conversations, newest first, that are older than the one named before.
	Conversations(tenant, user, before string, limit int) ([]Conversation, error)
	// Pins returns the conversation's pinned revisions by agent.
	Pins(conversationID string) (map[string]string, error)

	// Events returns up to limit events from a sequence on; fewer once they fill maxBytes, but at least one.
	Events(conversationID string, from int64, limit, maxBytes int) ([]*eventv1.Event, error)
	// Request returns what an append under this request id came to, or one without a digest.
	Request(conversationID, requestID string) (Request, error)

	// Turn returns a turn with its pin. Errors: NOT_FOUND.
	Turn(turnID string) (Turn, error)
	// ResumableTurns returns up to limit running turns whose lease has ended by now, longest ended first.
	ResumableTurns(now time.Time, limit int) ([]Turn, error)
	// LeasedTurns returns the running turns that an executor of this revision holds, even if its lease has ended.
	LeasedTurns(agent, revision string) ([]Turn, error)

	// Calls returns those of the named calls that exist, by id.
	Calls(conversationID string, callIDs []string) (map[string]Call, error)
	// Withdrawals returns all withdrawals of an agent's revisions in the order of their positions.
	Withdrawals(agent string) ([]Withdrawal, error)
	// RevisionUses returns those of an agent's revisions that are pinned or that segments ran on, by name.
	RevisionUses(agent string) ([]RevisionUse, error)
	// Outcomes returns up to limit outcomes from a position on, in order; of one agent or, if it is empty, of all.
	Outcomes(agent string, from int64, limit int) ([]*contextv1.Outcome, error)
	// LastOutcome returns the position of the last outcome, or 0.
	LastOutcome() (int64, error)
	// Checkpoint returns the conversation's checkpoint, or one with sequence 0.
	Checkpoint(conversationID string) (*contextv1.Checkpoint, error)
	// State returns a shared value and its version; version 0 if it was never written.
	State(scope, key string) ([]byte, int64, error)
}

// Tx reads and writes rows within one transaction.
type Tx interface { //nolint:interfacebloat // one method for each write to a table
	Reader

	// InsertConversation adds a conversation; its first event follows.
	InsertConversation(row Conversation) error
	// UpdateConversation writes a conversation's agent and active turn.
	UpdateConversation(row Conversation) error
	// DeleteConversation deletes a conversation and every row that is about it, but for outcomes.
	DeleteConversation(conversationID string) error
	// PutPin sets or moves a pin.
	PutPin(conversationID, agent, revision string) error
	// InsertEvents adds events that carry their sequences.
	InsertEvents(conversationID string, events []*eventv1.Event) error
	// InsertRequest remembers what an append came to.
	InsertRequest(row Request) error
	// PutTurn inserts or overwrites a turn.
	PutTurn(row Turn) error
	// PutCall inserts or overwrites a call.
	PutCall(row Call) error
	// InsertOutcome adds an outcome. Its position is the store's to choose: beyond that of every outcome that anyone has
	// seen.
	InsertOutcome(outcome *contextv1.Outcome) error
	// ForgetOutcomes deletes those of the first outcomes, as many as limit says, whose segment ended before a time. The last
	// one stays: positions only grow.
	ForgetOutcomes(before time.Time, limit int) error
	// PutWithdrawal inserts or overwrites a withdrawal.
	PutWithdrawal(row Withdrawal) error
	// ForgetWithdrawal deletes a withdrawal.
	ForgetWithdrawal(agent, revision string, attempt int64) error
	// PutCheckpoint sets the conversation's checkpoint.
	PutCheckpoint(checkpoint *contextv1.Checkpoint) error
	// PutState sets a shared value and its version.
	PutState(scope, key string, value []byte, version int64) error
}

// NoConversation is what a Reader answers for a conversation that is not there.
func NoConversation(conversationID string) error {
	return fault.New(codes.NotFound, "CONVERSATION_NOT_FOUND", "conversation_id: there is no conversation %q", conversationID)
}

// NoTurn is what a Reader answers for a turn that is not there.
func NoTurn(turnID string) error {
	return fault.New(codes.NotFound, "TURN_NOT_FOUND", "turn_id: there is no turn %q", turnID)
}
