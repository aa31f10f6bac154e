package relational

import (
	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	"github.com/serinhq/serin/services/contextstore"
)

const withdrawalColumns = `agent, revision, attempt, replacement, cause, fenced, fenced_turns, position, withdrawn_at`

// Withdrawals returns all withdrawals of an agent's revisions in the order of their positions.
func (r Rows) Withdrawals(agent string) ([]contextstore.Withdrawal, error) {
	var found []contextstore.Withdrawal

	err := r.db.Each("SELECT "+withdrawalColumns+" FROM withdrawals WHERE agent = ? ORDER BY position", []any{agent},
		func(scan Scan) (bool, error) {
			var (
				row       contextstore.Withdrawal
				withdrawn int64
			)

			err := scan(&row.Agent, &row.Revision, &row.Attempt, &row.Replacement, &row.Cause, &row.Fenced,
				&row.FencedTurns, &row.Position, &withdrawn)
			row.WithdrawnAt = at(withdrawn)
			found = append(found, row)

			return true, err
		})

	return found, err
}

// PutWithdrawal inserts or overwrites a withdrawal.
func (r Rows) PutWithdrawal(row contextstore.Withdrawal) error {
	return r.db.Exec("INSERT INTO withdrawals ("+withdrawalColumns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (agent, revision, attempt) DO UPDATE SET fenced = excluded.fenced, fenced_turns = excluded.fenced_turns`,
		row.Agent, row.Revision, row.Attempt, row.Replacement, row.Cause, row.Fenced, row.FencedTurns, row.Position,
		Nanos(row.WithdrawnAt))
}

// ForgetWithdrawal deletes a withdrawal.
func (r Rows) ForgetWithdrawal(agent, revision string, attempt int64) error {
	return r.db.Exec("DELETE FROM withdrawals WHERE agent = ? AND revision = ? AND attempt = ?", agent, revision, attempt)
}

// Checkpoint returns the conversation's checkpoint, or one with sequence 0.
func (r Rows) Checkpoint(conversationID string) (*contextv1.Checkpoint, error) {
	checkpoint := &contextv1.Checkpoint{ConversationId: conversationID}

	_, err := r.db.One("SELECT sequence, format, data FROM checkpoints WHERE conversation_id = ?", []any{conversationID},
		&checkpoint.Sequence, &checkpoint.Format, &checkpoint.Data)

	return checkpoint, err
}

// PutCheckpoint sets the conversation's checkpoint.
func (r Rows) PutCheckpoint(checkpoint *contextv1.Checkpoint) error {
	return r.db.Exec(`INSERT INTO checkpoints (conversation_id, sequence, format, data) VALUES (?, ?, ?, ?)
		ON CONFLICT (conversation_id) DO UPDATE SET sequence = excluded.sequence, format = excluded.format,
		data = excluded.data`,
		checkpoint.GetConversationId(), checkpoint.GetSequence(), checkpoint.GetFormat(), bytesOf(checkpoint.GetData()))
}

// State returns a shared value and its version; version 0 if it was never written.
func (r Rows) State(scope, key string) ([]byte, int64, error) {
	var (
		value   []byte
		version int64
	)

	_, err := r.db.One("SELECT value, version FROM shared_state WHERE scope = ? AND state_key = ?", []any{scope, key},
		&value, &version)

	return value, version, err
}

// PutState sets a shared value and its version.
func (r Rows) PutState(scope, key string, value []byte, version int64) error {
	return r.db.Exec(`INSERT INTO shared_state (scope, state_key, value, version) VALUES (?, ?, ?, ?)
		ON CONFLICT (scope, state_key) DO UPDATE SET value = excluded.value, version = excluded.version`,
		scope, key, bytesOf(value), version)
}

// bytesOf keeps an empty value from being stored as NULL.
func bytesOf(value []byte) []byte {
	if value == nil {
		return []byte{}
	}

	return value
}
