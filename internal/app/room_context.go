package app

import (
	"context"
	"errors"

	"github.com/serinhq/serin/internal/health"
	"github.com/serinhq/serin/services/contextstore"
	"github.com/serinhq/serin/services/contextstore/postgres"
	"github.com/serinhq/serin/services/contextstore/sqlite"
)

func (w *workload) contextRoom(ctx context.Context) (*room, error) {
	store, err := w.contextStore(ctx)
	if err != nil {
		return nil, err
	}

	service, err := contextstore.New(contextstore.Config{Store: store})
	if err != nil {
		return nil, errors.Join(err, store.Close())
	}

	return &room{
		register: service.Register,
		policy:   contextstore.Policy(),
		checks: []health.Check{
			{Name: "database", TTL: healthTTL, Grace: dependencyGrace, Func: service.Ready},
			{Name: "memory", Informative: true, Func: service.MemoryReady}, // turns go on without, or with words alone
		},
		drain: func(context.Context) error { service.Drain(); return nil },
		close: service.Close,
	}, nil
}

// contextStore opens the database that the settings name. The URL of PostgreSQL holds a password, and comes through the
// environment.
func (w *workload) contextStore(ctx context.Context) (contextstore.Store, error) {
	if w.config.Context.Postgres {
		return postgres.Open(ctx, postgres.Config{URL: w.env.get(postgresVariable), Logger: w.telemetry.Logger})
	}

	return sqlite.Open(ctx, sqlite.Config{Path: w.config.Context.Database})
}
