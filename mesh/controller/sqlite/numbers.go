package sqlite

import (
	"context"
	"database/sql"
)

// LoadNumbers returns the numbers by agent and the position of the last outcome in them.
func (s *Store) LoadNumbers(ctx context.Context) (position int64, numbers map[string][]byte, err error) {
	numbers = map[string][]byte{}

	err = s.update(ctx, func(tx *sql.Tx) error { // one snapshot for both
		if err := each(ctx, tx, func(scan func(...any) error) error { return scan(&position) },
			"SELECT position FROM numbers_position"); err != nil {
			return err
		}

		return each(ctx, tx, func(scan func(...any) error) error {
			var (
				agent string
				data  []byte
			)

			err := scan(&agent, &data)
			numbers[agent] = data

			return err
		}, "SELECT agent, data FROM numbers")
	})

	return position, numbers, err
}

// SaveNumbers keeps numbers and position in the place of those before. Agents that are not named keep theirs.
func (s *Store) SaveNumbers(ctx context.Context, position int64, numbers map[string][]byte) error {
	return s.update(ctx, func(tx *sql.Tx) error {
		for agent, data := range numbers {
			if _, err := tx.ExecContext(ctx, `INSERT INTO numbers (agent, data) VALUES (?, ?)
				ON CONFLICT (agent) DO UPDATE SET data = excluded.data`, agent, data); err != nil {
				return err //nolint:wrapcheck // update says what failed
			}
		}

		_, err := tx.ExecContext(ctx, `INSERT INTO numbers_position (only, position) VALUES (1, ?)
			ON CONFLICT (only) DO UPDATE SET position = excluded.position`, position)

		return err //nolint:wrapcheck // update says what failed
	})
}
