package relational

import (
	"time"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
	"github.com/serinhq/serin/services/contextstore"
)

// selectTurns joins turns with the pins of their agents, and says whether a withdrawal names the pin.
const selectTurns = `SELECT t.data, t.revision, t.phase, t.waiting_since, t.cancel_by, t.cancel_reason,
	t.reserved_segment, t.reserved_step, t.reserved_tokens, t.reserved_cost, t.tally, t.forced, COALESCE(p.revision, ''),
	EXISTS (SELECT 1 FROM withdrawals w WHERE w.agent = t.agent AND w.revision = p.revision)
	FROM turns t LEFT JOIN pins p ON p.conversation_id = t.conversation_id AND p.agent = t.agent WHERE `

// Turn returns a turn. Errors: NOT_FOUND.
func (r Rows) Turn(turnID string) (contextstore.Turn, error) {
	turns, err := r.turns("t.turn_id = ?", turnID)
	if err != nil {
		return contextstore.Turn{}, err
	}

	if len(turns) == 0 {
		return contextstore.Turn{}, contextstore.NoTurn(turnID)
	}

	return turns[0], nil
}

// ResumableTurns returns up to limit running turns whose lease has ended by now, longest ended first.
func (r Rows) ResumableTurns(now time.Time, limit int) ([]contextstore.Turn, error) {
	return r.turns("t.status = 1 AND t.lease_expires_at <= ? ORDER BY t.lease_expires_at, t.turn_id LIMIT ?",
		Nanos(now), limit)
}

// LeasedTurns returns the running turns that an executor of this revision holds, even if its lease has ended.
func (r Rows) LeasedTurns(agent, revision string) ([]contextstore.Turn, error) {
	return r.turns("t.status = 1 AND t.agent = ? AND t.revision = ? AND t.lease_holder <> '' ORDER BY t.turn_id",
		agent, revision)
}

func (r Rows) turns(where string, args ...any) ([]contextstore.Turn, error) {
	var turns []contextstore.Turn

	err := r.db.Each(selectTurns+where, args,
		func(scan Scan) (bool, error) {
			turn, err := scanTurn(scan)
			turns = append(turns, turn)

			return true, err
		})

	return turns, err
}

func scanTurn(scan func(...any) error) (contextstore.Turn, error) {
	var (
		turn                = contextstore.Turn{Turn: &contextv1.Turn{}}
		data, tally, forced []byte
		since               int64
	)

	if err := scan(&data, &turn.Revision, &turn.Phase, &since, &turn.CancelBy, &turn.CancelReason,
		&turn.Reserved.Segment, &turn.Reserved.Step, &turn.Reserved.Tokens, &turn.Reserved.CostMicros, &tally, &forced,
		&turn.Pin.Revision, &turn.Pin.Questioned); err != nil {
		return contextstore.Turn{}, err
	}

	turn.WaitingSince = at(since)

	if err := scanTally(&turn, tally, forced); err != nil {
		return contextstore.Turn{}, err
	}

	return turn, Unmarshal(data, turn.Turn)
}

// scanTally reads what most turns have little of.
func scanTally(turn *contextstore.Turn, tally, forced []byte) error {
	if len(tally) > 0 {
		counted := &contextv1.Outcome{}
		if err := Unmarshal(tally, counted); err != nil {
			return err
		}

		turn.Tally = contextstore.TallyOf(counted)
	}

	if len(forced) > 0 {
		accepted := &eventv1.TurnAccepted{}
		if err := Unmarshal(forced, accepted); err != nil {
			return err
		}

		turn.Forced = accepted.GetForcedRevisions()
	}

	return nil
}

// PutTurn inserts or overwrites a turn.
func (r Rows) PutTurn(turn contextstore.Turn) error {
	data, err := Marshal(turn.Turn)
	if err != nil {
		return err
	}

	tally, err := Marshal(turn.Tally.Outcome())
	if err != nil {
		return err
	}

	forced, err := Marshal(&eventv1.TurnAccepted{ForcedRevisions: turn.Forced})
	if err != nil {
		return err
	}

	return r.db.Exec(`INSERT INTO turns (turn_id, conversation_id, agent, status, lease_holder, lease_expires_at, data,
		revision, phase, waiting_since, cancel_by, cancel_reason, reserved_segment, reserved_step, reserved_tokens,
		reserved_cost, began_at, tally, forced) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (turn_id) DO UPDATE SET
		agent = excluded.agent, status = excluded.status, lease_holder = excluded.lease_holder,
		lease_expires_at = excluded.lease_expires_at, data = excluded.data, revision = excluded.revision,
		phase = excluded.phase, waiting_since = excluded.waiting_since, cancel_by = excluded.cancel_by,
		cancel_reason = excluded.cancel_reason, reserved_segment = excluded.reserved_segment,
		reserved_step = excluded.reserved_step, reserved_tokens = excluded.reserved_tokens,
		reserved_cost = excluded.reserved_cost, began_at = excluded.began_at, tally = excluded.tally`,
		turn.GetTurnId(), turn.GetConversationId(), turn.GetAgent(), int32(turn.GetStatus()), turn.GetLeaseHolder(),
		Nanos(turn.GetLeaseExpiresAt().AsTime()), data, turn.Revision, int(turn.Phase), Nanos(turn.WaitingSince),
		turn.CancelBy, turn.CancelReason, turn.Reserved.Segment, turn.Reserved.Step, turn.Reserved.Tokens,
		turn.Reserved.CostMicros, Nanos(turn.Tally.BeganAt), bytesOf(tally), bytesOf(forced))
}
