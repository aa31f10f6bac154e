package postgres

import (
	"cmp"
	"context"
	"hash/maphash"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/grpc/codes"

	"github.com/serinhq/serin/internal/fault"
	"github.com/serinhq/serin/services/contextstore/commits"
)

// connectTimeout bounds how long one attempt to reach the server takes.
const connectTimeout = 5 * time.Second

// pingTimeout bounds how long a connection that was idle takes to answer before another is made.
const pingTimeout = 2 * time.Second

// Open connects to the database and checks its schema, or brings it up to date. A server that is not there, or takes no
// connections for now, is waited for; any other trouble is told at once. Errors: INVALID_ARGUMENT (the URL);
// UNAVAILABLE (DATABASE_UNREACHABLE,
// DATABASE_NOT_READY); FAILED_PRECONDITION (DATABASE_DENIED, DATABASE_MISSING, SCHEMA_TOO_OLD,
// SCHEMA_TOO_NEW, NO_PERMISSION, EXTENSION_MISSING).
func Open(ctx context.Context, config Config) (*Store, error) {
	settings, err := parse(config.URL)
	if err != nil {
		return nil, err
	}

	logger := cmp.Or(config.Logger, slog.Default())

	if err := reach(ctx, settings.ConnConfig, cmp.Or(config.Patience, startPatience), logger, notThere, func() error {
		return prepare(ctx, settings.ConnConfig, config.Migrate, logger)
	}); err != nil {
		return nil, opening(settings.ConnConfig, err)
	}

	lanes := cmp.Or(config.Lanes, 4)
	settings.MaxConns = int32(max(cmp.Or(config.Connections, 16), lanes+1)) //nolint:gosec // a handful
	settings.MaxConnIdleTime = time.Minute
	settings.PingTimeout = pingTimeout

	pool, err := pgxpool.NewWithConfig(context.WithoutCancel(ctx), settings)
	if err != nil {
		return nil, opening(settings.ConnConfig, err)
	}

	store := newStore(pool, settings.ConnConfig, lanes, cmp.Or(config.Poll, 2*time.Second), logger) //nolint:contextcheck // see inBackground
	store.disconnect = pool.Close

	return store, nil
}

// newStore makes a store with a memory of its own on connections that others may use, too.
func newStore(pool *pgxpool.Pool, listener *pgx.ConnConfig, lanes int, every time.Duration, logger *slog.Logger) *Store {
	store := &Store{
		pool: pool, owners: newOwners(), guesses: newGuesses(), seed: maphash.MakeSeed(), logger: logger,
		hints: newHints(pool), listener: listener, every: every,
		forgetting: inBackground(func(ctx context.Context) { forgetting(ctx, pool) }),
	}

	for range lanes {
		store.lanes = append(store.lanes, commits.NewQueue(maxBatch, store.run))
	}

	return store
}

// inBackground runs something until it is told to end: with its store, not with the context that opened that.
func inBackground(run func(context.Context)) (end func()) {
	ctx, stop := context.WithCancel(context.Background())

	var done sync.WaitGroup

	done.Go(func() { run(ctx) })

	return func() {
		stop()
		done.Wait()
	}
}

// parse reads a URL, and adds what every connection needs.
func parse(at string) (*pgxpool.Config, error) {
	if strings.TrimSpace(at) == "" {
		return nil, fault.Invalid(fault.Violation{
			Field: "postgres", Message: `"": must be a URL such as postgres://serin@localhost:5432/serin`,
		})
	}

	settings, err := pgxpool.ParseConfig(at)
	if err != nil {
		return nil, fault.Invalid(fault.Violation{
			Field: "postgres", Message: "must be a URL such as postgres://serin@localhost:5432/serin: " + oneLine(err), // without the password
		})
	}

	for name, value := range map[string]string{
		"application_name": "serin",
		// A process that is paused within a transaction must not keep others from a conversation.
		"idle_in_transaction_session_timeout": "10s",
		"lock_timeout":                        "20s",
		// Every query has its index, and is planned once: a plan that was made while a table was small must not read all of
		// it once it is large.
		"enable_seqscan":    "off",
		"enable_bitmapscan": "off",
		"plan_cache_mode":   "force_generic_plan",
	} {
		if settings.ConnConfig.RuntimeParams[name] == "" {
			settings.ConnConfig.RuntimeParams[name] = value
		}
	}

	// Who waited for a lock must see what was committed meanwhile, whatever the database's own default is.
	settings.ConnConfig.RuntimeParams["default_transaction_isolation"] = "read committed"
	settings.ConnConfig.ConnectTimeout = cmp.Or(settings.ConnConfig.ConnectTimeout, connectTimeout)

	return settings, nil
}

// prepare looks at the database with one connection.
func prepare(ctx context.Context, settings *pgx.ConnConfig, migrating bool, logger *slog.Logger) error {
	if migrating {
		if _, err := migrate(ctx, settings, false); err != nil {
			return err
		}
	}

	conn, err := pgx.ConnectConfig(ctx, settings.Copy())
	if err != nil {
		return err //nolint:wrapcheck // see opening
	}
	defer conn.Close(ctx) //nolint:errcheck // nothing is lost

	if err := checkSchema(ctx, conn); err != nil {
		return err
	}

	bypasses, err := bypassesSecurity(ctx, conn)
	if bypasses {
		logger.WarnContext(ctx, "row-level security does not keep tenants apart for this database user: it is a superuser, or has "+
			"BYPASSRLS; make one that is not", "user", settings.User)
	}

	return err
}

// bypassesSecurity reports whether the user is one for whom no row-level security holds.
func bypassesSecurity(ctx context.Context, conn *pgx.Conn) (bypasses bool, err error) {
	err = conn.QueryRow(ctx, "SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user").Scan(&bypasses)

	return bypasses, err //nolint:wrapcheck // see opening
}

// opening names the database in an error, in one line, and says what to do.
func opening(settings *pgx.ConnConfig, err error) error {
	database := describe(settings)

	switch codeOf(err) {
	case invalidPassword, invalidAuthorization:
		return fault.New(codes.FailedPrecondition, "DATABASE_DENIED", "%s refuses user %q: correct the user or the password: %s",
			database, settings.User, oneLine(err))
	case noSuchDatabase:
		return fault.New(codes.FailedPrecondition, "DATABASE_MISSING", "%s does not exist: make it (createdb %s), or correct the URL",
			database, settings.Database)
	case insufficientPrivilege:
		return fault.New(codes.FailedPrecondition, "NO_PERMISSION", "%s does not allow it to user %q: %s; as the schema's owner, "+
			"GRANT what is missing, or run serin migrate as a user that may make tables", database, settings.User, oneLine(err))
	}

	if code := codeOf(err); code == noSuchFile || code == featureNotSupported {
		return fault.New(codes.FailedPrecondition, "EXTENSION_MISSING", "%s lacks what the schema needs: install it on the server, and "+
			"run serin migrate again: %s", database, oneLine(err))
	}

	if own, ok := asFault(err); ok {
		return fault.New(own.Code, own.Reason, "%s: %s", database, oneLine(err))
	}

	if notYet(err) {
		return fault.New(codes.Unavailable, "DATABASE_NOT_READY", "%s takes no connections for now: %s", database, oneLine(err))
	}

	if away(err) || timedOut(err) {
		return fault.New(codes.Unavailable, "DATABASE_UNREACHABLE", "%s can't be reached: start it, or correct the URL: %s",
			database, oneLine(err))
	}

	return fault.New(codes.FailedPrecondition, "DATABASE_UNUSABLE", "%s: %s", database, oneLine(err))
}

// describe names the database without its password.
func describe(settings *pgx.ConnConfig) string {
	return "PostgreSQL database " + settings.Host + ":" + strconv.Itoa(int(settings.Port)) + "/" + settings.Database
}
