package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"

	"google.golang.org/grpc/codes"

	"github.com/serinhq/serin/internal/fault"
	"github.com/serinhq/serin/mesh/controller"
)

// Load returns every agent's record, by name.
func (s *Store) Load(ctx context.Context) ([]controller.Record, error) {
	records := []controller.Record{}

	err := each(ctx, s.db, func(scan func(...any) error) error {
		var (
			data   string
			record controller.Record
		)

		if err := scan(&data); err != nil {
			return err
		}

		if err := unmarshal(data, &record); err != nil {
			return err
		}

		records = append(records, record)

		return nil
	}, "SELECT data FROM agents ORDER BY agent")

	return records, err
}

// Save keeps a record and adds to the history, and forgets revisions that nothing names any more.
func (s *Store) Save(ctx context.Context, record controller.Record, entries ...controller.HistoryEntry) error {
	data, err := marshal(record)
	if err != nil {
		return err
	}

	return s.update(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `INSERT INTO agents (agent, data) VALUES (?, ?)
			ON CONFLICT (agent) DO UPDATE SET data = excluded.data`, record.Agent, data); err != nil {
			return err //nolint:wrapcheck // update says what failed
		}

		for _, entry := range entries {
			if err := addEntry(ctx, tx, record.Agent, entry); err != nil {
				return err
			}
		}

		if len(entries) == 0 {
			return nil
		}

		return forget(ctx, tx, &record)
	})
}

// forget drops the oldest history, and revisions that neither the record nor the history names.
func forget(ctx context.Context, tx *sql.Tx, record *controller.Record) error {
	names, err := marshal(record.Names())
	if err != nil {
		return err
	}

	if _, err := tx.ExecContext(ctx, `DELETE FROM history WHERE agent = ? AND id <=
		(SELECT id FROM history WHERE agent = ? ORDER BY id DESC LIMIT 1 OFFSET ?)`,
		record.Agent, record.Agent, keptHistory); err != nil {
		return err //nolint:wrapcheck // update says what failed
	}

	_, err = tx.ExecContext(ctx, `DELETE FROM revisions WHERE agent = ?
		AND short NOT IN (SELECT value FROM json_each(?))
		AND short NOT IN (SELECT stable FROM history WHERE agent = ?)
		AND short NOT IN (SELECT candidate FROM history WHERE agent = ?)`,
		record.Agent, names, record.Agent, record.Agent)

	return err //nolint:wrapcheck // update says what failed
}

func marshal(value any) (string, error) {
	data, err := json.Marshal(value)
	if err != nil {
		return "", fmt.Errorf("store as JSON: %w", err)
	}

	return string(data), nil
}

// unmarshal reads JSON. Fields of newer releases are ignored.
func unmarshal(data string, into any) error {
	if err := json.Unmarshal([]byte(data), into); err != nil {
		return fault.New(codes.DataLoss, "DATABASE_DAMAGED", "a stored rollout can't be read: %w", err)
	}

	return nil
}
