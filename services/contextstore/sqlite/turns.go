package sqlite

import (
	"time"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	"github.com/serinhq/serin/services/contextstore"
)

const turnColumns = `data, revision, phase, waiting_since, cancel_by, cancel_reason,
	reserved_segment, reserved_step, reserved_tokens`

// Turn returns a turn. Errors: NOT_FOUND.
func (c *conn) Turn(turnID string) (contextstore.Turn, error) {
	turns, err := c.turns("turn_id = ?", turnID)
	if err != nil {
		return contextstore.Turn{}, err
	}

	if len(turns) == 0 {
		return contextstore.Turn{}, contextstore.NoTurn(turnID)
	}

	return turns[0], nil
}

// ResumableTurns returns up to limit running turns whose lease has ended by now, longest ended first.
func (c *conn) ResumableTurns(now time.Time, limit int) ([]contextstore.Turn, error) {
	return c.turns("status = 1 AND lease_expires_at <= ? ORDER BY lease_expires_at, turn_id LIMIT ?", nanos(now), limit)
}

// LeasedTurns returns the running turns that an executor of this revision holds, even if its lease has ended.
func (c *conn) LeasedTurns(agent, revision string) ([]contextstore.Turn, error) {
	return c.turns("status = 1 AND agent = ? AND revision = ? AND lease_holder <> '' ORDER BY turn_id", agent, revision)
}

func (c *conn) turns(where string, args ...any) ([]contextstore.Turn, error) {
	var turns []contextstore.Turn

	err := c.each("SELECT "+turnColumns+" FROM turns WHERE "+where, args,
		func(scan func(...any) error) (bool, error) {
			turn, err := scanTurn(scan)
			turns = append(turns, turn)

			return true, err
		})

	return turns, err
}

func scanTurn(scan func(...any) error) (contextstore.Turn, error) {
	var (
		turn  = contextstore.Turn{Turn: &contextv1.Turn{}}
		data  []byte
		since int64
	)

	if err := scan(&data, &turn.Revision, &turn.Phase, &since, &turn.CancelBy, &turn.CancelReason,
		&turn.Reserved.Segment, &turn.Reserved.Step, &turn.Reserved.Tokens); err != nil {
		return contextstore.Turn{}, err
	}

	turn.WaitingSince = at(since)

	return turn, unmarshal(data, turn.Turn)
}

// PutTurn inserts or overwrites a turn.
func (c *conn) PutTurn(turn contextstore.Turn) error {
	data, err := marshal(turn.Turn)
	if err != nil {
		return err
	}

	return c.exec(`INSERT INTO turns (turn_id, conversation_id, agent, status, lease_holder, lease_expires_at, `+
		turnColumns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (turn_id) DO UPDATE SET
		agent = excluded.agent, status = excluded.status, lease_holder = excluded.lease_holder,
		lease_expires_at = excluded.lease_expires_at, data = excluded.data, revision = excluded.revision,
		phase = excluded.phase, waiting_since = excluded.waiting_since, cancel_by = excluded.cancel_by,
		cancel_reason = excluded.cancel_reason, reserved_segment = excluded.reserved_segment,
		reserved_step = excluded.reserved_step, reserved_tokens = excluded.reserved_tokens`,
		turn.GetTurnId(), turn.GetConversationId(), turn.GetAgent(), int32(turn.GetStatus()), turn.GetLeaseHolder(),
		nanos(turn.GetLeaseExpiresAt().AsTime()), data, turn.Revision, int(turn.Phase), nanos(turn.WaitingSince),
		turn.CancelBy, turn.CancelReason, turn.Reserved.Segment, turn.Reserved.Step, turn.Reserved.Tokens)
}
