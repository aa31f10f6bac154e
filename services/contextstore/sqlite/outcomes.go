package sqlite

import (
	"time"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
)

// Outcomes returns up to limit outcomes from a position on, in order; of one agent or, if it is empty, of all.
func (c *conn) Outcomes(agent string, from int64, limit int) ([]*contextv1.Outcome, error) {
	query, args := "SELECT position, data FROM outcomes WHERE position >= ?", []any{from}
	if agent != "" {
		query, args = query+" AND +agent = ?", append(args, agent) // the plus keeps it to the order of positions
	}

	var outcomes []*contextv1.Outcome

	err := c.each(query+" ORDER BY position LIMIT ?", append(args, limit),
		func(scan func(...any) error) (bool, error) {
			var (
				position int64
				data     []byte
				outcome  = &contextv1.Outcome{}
			)

			if err := scan(&position, &data); err != nil {
				return false, err
			}

			err := unmarshal(data, outcome)
			outcome.Position = position
			outcomes = append(outcomes, outcome)

			return true, err
		})

	return outcomes, err
}

// LastOutcome returns the position of the last outcome, or 0.
func (c *conn) LastOutcome() (position int64, err error) {
	_, err = c.one("SELECT IFNULL(MAX(position), 0) FROM outcomes", nil, &position)

	return position, err
}

// InsertOutcome adds an outcome. There is one writer, so the next position is beyond all that anyone has seen.
func (c *conn) InsertOutcome(outcome *contextv1.Outcome) error {
	data, err := marshal(outcome)
	if err != nil {
		return err
	}

	return c.exec("INSERT INTO outcomes (agent, revision, kind, ended_at, data) VALUES (?, ?, ?, ?, ?)",
		outcome.GetAgent(), outcome.GetRevision(), int32(outcome.GetKind()), nanos(outcome.GetEndedAt().AsTime()), data)
}

// ForgetOutcomes deletes old ones of the first outcomes. It looks at no more rows than it may delete: ended_at has no index.
func (c *conn) ForgetOutcomes(before time.Time, limit int) error {
	return c.exec(`DELETE FROM outcomes WHERE ended_at < ?
		AND position IN (SELECT position FROM outcomes ORDER BY position LIMIT ?)
		AND position < (SELECT MAX(position) FROM outcomes)`, nanos(before), limit)
}
