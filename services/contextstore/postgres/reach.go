package postgres

import (
	"context"
	"errors"
	"log/slog"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// startPatience is how long a server that is not ready is waited for at the start.
const startPatience = 10 * time.Second

// notYet reports whether a server that was reached takes no connections for now: it starts, or stops, or has too many.
func notYet(err error) bool { return codeOf(err) != "" && away(err) }

// notThere reports that, or that nobody listens: a server that is restarted is both in turn.
func notThere(err error) bool {
	return notYet(err) || errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ECONNRESET)
}

// reach runs what needs a server, again and again while what goes wrong passes, until the context ends or patience does. The
// log is told once, at once.
func reach(
	ctx context.Context, settings *pgx.ConnConfig, wait time.Duration, logger *slog.Logger, passes func(error) bool, run func() error,
) error {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()

	for again := pause; ; again = min(2*again, mostPause) {
		err := run()
		if err == nil || !passes(err) {
			return err
		}

		if again == pause {
			logger.WarnContext(ctx, "waiting for the database", "database", describe(settings), "for", wait, "error", oneLine(err))
		}

		if !rested(ctx, again) {
			return err
		}
	}
}
