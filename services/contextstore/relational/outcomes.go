package relational

import (
	"time"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
)

// Outcomes returns up to limit outcomes from a position on, in order; of one agent or, if it is empty, of all.
func (r Rows) Outcomes(agent string, from int64, limit int) ([]*contextv1.Outcome, error) {
	query, args := "SELECT position, data FROM outcomes WHERE position >= ?", []any{from}
	if agent != "" {
		query, args = query+" AND agent || '' = ?", append(args, agent) // not by the agent's index: in the order of positions
	}

	var outcomes []*contextv1.Outcome

	err := r.db.Each(query+" ORDER BY position LIMIT ?", append(args, limit),
		func(scan Scan) (bool, error) {
			var (
				position int64
				data     []byte
				outcome  = &contextv1.Outcome{}
			)

			if err := scan(&position, &data); err != nil {
				return false, err
			}

			err := Unmarshal(data, outcome)
			outcome.Position = position
			outcomes = append(outcomes, outcome)

			return true, err
		})

	return outcomes, err
}

// LastOutcome returns the position of the last outcome, or 0.
func (r Rows) LastOutcome() (position int64, err error) {
	_, err = r.db.One("SELECT COALESCE(MAX(position), 0) FROM outcomes", nil, &position)

	return position, err
}

// InsertOutcome adds an outcome. Whoever calls sees to it that positions are committed in their order.
func (r Rows) InsertOutcome(outcome *contextv1.Outcome) error {
	data, err := Marshal(outcome)
	if err != nil {
		return err
	}

	return r.db.Exec("INSERT INTO outcomes (agent, revision, kind, ended_at, data) VALUES (?, ?, ?, ?, ?)",
		outcome.GetAgent(), outcome.GetRevision(), int32(outcome.GetKind()), Nanos(outcome.GetEndedAt().AsTime()), data)
}

// ForgetOutcomes deletes old ones of the first outcomes. It looks at no more rows than it may delete: ended_at has no index.
func (r Rows) ForgetOutcomes(before time.Time, limit int) error {
	return r.db.Exec(`DELETE FROM outcomes WHERE ended_at < ?
		AND position IN (SELECT position FROM outcomes ORDER BY position LIMIT ?)
		AND position < (SELECT MAX(position) FROM outcomes)`, Nanos(before), limit)
}
