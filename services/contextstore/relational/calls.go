package relational

import (
	"errors"

	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
	"github.com/serinhq/serin/services/contextstore"
)

const callColumns = `conversation_id, call_id, turn_id, tool, arguments_digest, agent, revision, segment, step, state,
	idempotent, holder, expires_at, approval_asked, approval, outcome_asked, outcome, result, result_sequence`

// Calls returns those of the named calls that exist, by id.
func (r Rows) Calls(conversationID string, callIDs []string) (map[string]contextstore.Call, error) {
	calls := make(map[string]contextstore.Call, len(callIDs))

	for _, id := range callIDs {
		call, err := r.call(conversationID, id)
		if err != nil {
			return nil, err
		}

		if call.ID != "" {
			calls[id] = call
		}
	}

	return calls, nil
}

func (r Rows) call(conversationID, callID string) (contextstore.Call, error) {
	var (
		row     contextstore.Call
		expires int64
		result  []byte
	)

	err := r.db.Each("SELECT "+callColumns+" FROM calls WHERE conversation_id = ? AND call_id = ?",
		[]any{conversationID, callID},
		func(scan Scan) (bool, error) {
			if err := scan(&row.ConversationID, &row.ID, &row.TurnID, &row.Tool, &row.ArgumentsDigest, &row.Agent,
				&row.Revision, &row.Segment, &row.Step, &row.State, &row.Idempotent, &row.Holder, &expires,
				&row.Approval.Asked, &row.Approval.Decision, &row.Outcome.Asked, &row.Outcome.Decision,
				&result, &row.ResultSequence); err != nil {
				return false, err
			}

			row.ExpiresAt = at(expires)
			if row.State != contextstore.CallCompleted {
				return false, nil
			}

			row.Result = &eventv1.ToolResult{}

			return false, Unmarshal(result, row.Result)
		})

	return row, err
}

// PutCall inserts or overwrites a call.
func (r Rows) PutCall(row contextstore.Call) error {
	var (
		result []byte
		err    error
	)

	if row.Result != nil {
		result, err = Marshal(row.Result)
	}

	return errors.Join(err, r.db.Exec("INSERT INTO calls ("+callColumns+`)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (conversation_id, call_id) DO UPDATE SET
		state = excluded.state, idempotent = excluded.idempotent, holder = excluded.holder,
		expires_at = excluded.expires_at, approval_asked = excluded.approval_asked, approval = excluded.approval,
		outcome_asked = excluded.outcome_asked, outcome = excluded.outcome, result = excluded.result,
		result_sequence = excluded.result_sequence`,
		row.ConversationID, row.ID, row.TurnID, row.Tool, row.ArgumentsDigest, row.Agent, row.Revision, row.Segment,
		row.Step, int(row.State), row.Idempotent, row.Holder, Nanos(row.ExpiresAt),
		row.Approval.Asked, int32(row.Approval.Decision), row.Outcome.Asked, int32(row.Outcome.Decision),
		result, row.ResultSequence))
}
