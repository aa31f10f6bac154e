package sqlite

import (
	"context"
	"database/sql"
)

// LoadServers returns the tool servers' declarations as they were saved.
func (s *Store) LoadServers(ctx context.Context) ([]string, error) {
	servers := []string{}

	err := each(ctx, s.db, func(scan func(...any) error) error {
		var server string

		err := scan(&server)
		servers = append(servers, server)

		return err
	}, "SELECT declaration FROM tool_servers ORDER BY place")

	return servers, err
}

// SaveServers keeps the tool servers' declarations in the place of those before.
func (s *Store) SaveServers(ctx context.Context, servers []string) error {
	return s.update(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, "DELETE FROM tool_servers"); err != nil {
			return err //nolint:wrapcheck // update says what failed
		}

		for place, server := range servers {
			if _, err := tx.ExecContext(ctx,
				"INSERT INTO tool_servers (place, declaration) VALUES (?, ?)", place, server); err != nil {
				return err //nolint:wrapcheck // update says what failed
			}
		}

		return nil
	})
}
