package sqlite

import (
	"context"
	"database/sql"
	"errors"

	"github.com/serinhq/serin/internal/agentspec"
	"github.com/serinhq/serin/mesh/controller"
)

// PutRevision keeps a revision's content. The same again changes nothing, whatever else is declared with it.
func (s *Store) PutRevision(ctx context.Context, revision controller.Revision) error {
	return s.update(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO revisions (agent, short, revision, declaration) VALUES (?, ?, ?, ?)
			ON CONFLICT (agent, revision) DO NOTHING`,
			revision.Agent, agentspec.Short(revision.Name), revision.Name, revision.Declaration)

		return err //nolint:wrapcheck // update says what failed
	})
}

// GetRevision returns a revision by its short or full name. Errors: NOT_FOUND (REVISION_UNKNOWN).
func (s *Store) GetRevision(ctx context.Context, agent, name string) (controller.Revision, error) {
	revision := controller.Revision{Agent: agent}

	err := s.db.QueryRowContext(ctx, `SELECT revision, declaration FROM revisions
		WHERE agent = ? AND (revision = ? OR short = ?)`, agent, name, name).Scan(&revision.Name, &revision.Declaration)

	switch {
	case errors.Is(err, sql.ErrNoRows):
		return controller.Revision{}, controller.NoRevision(agent, name)
	case err != nil:
		return controller.Revision{}, failed(err)
	default:
		return revision, nil
	}
}
