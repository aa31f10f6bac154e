package sqlite

import (
	"context"
	"database/sql"
	"math"
	"time"

	"github.com/serinhq/serin/mesh/controller"
)

// keptHistory is how many entries of each agent are kept.
const keptHistory = 1000

func addEntry(ctx context.Context, tx *sql.Tx, agent string, entry controller.HistoryEntry) error {
	before, err := marshal(entry.Before)
	if err != nil {
		return err
	}

	after, err := marshal(entry.After)
	if err != nil {
		return err
	}

	_, err = tx.ExecContext(ctx, `INSERT INTO history
		(agent, time, actor, action, reason, attempt, stable, candidate, before, after)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		agent, entry.Time.UnixNano(), entry.Actor, entry.Action, entry.Reason, entry.Attempt,
		entry.After.Stable, entry.After.Candidate, before, after)

	return err //nolint:wrapcheck // update says what failed
}

// History returns up to limit entries of an agent, newest first, with ids below before; 0 means from the newest.
func (s *Store) History(ctx context.Context, agent string, before int64, limit int) ([]controller.HistoryEntry, error) {
	if before <= 0 {
		before = math.MaxInt64
	}

	entries := []controller.HistoryEntry{}

	err := each(ctx, s.db, func(scan func(...any) error) error {
		entry, err := readEntry(scan)
		entries = append(entries, entry)

		return err
	}, `SELECT id, time, actor, action, reason, attempt, before, after FROM history
		WHERE agent = ? AND id < ? ORDER BY id DESC LIMIT ?`, agent, before, limit)

	return entries, err
}

func readEntry(scan func(...any) error) (entry controller.HistoryEntry, err error) {
	var (
		nanos         int64
		before, after string
	)

	if err := scan(
		&entry.ID, &nanos, &entry.Actor, &entry.Action, &entry.Reason, &entry.Attempt, &before, &after,
	); err != nil {
		return entry, err
	}

	entry.Time = time.Unix(0, nanos).UTC()

	if err := unmarshal(before, &entry.Before); err != nil {
		return entry, err
	}

	return entry, unmarshal(after, &entry.After)
}
