package app

import (
	"context"
	"strings"

	"github.com/spf13/pflag"

	"github.com/serinhq/serin/services/contextstore/postgres"
)

const (
	// postgresVariable is the URL of the database for conversations. It holds a password, which others can read in the
	// arguments of a process, and not in its environment.
	postgresVariable = "SERIN_POSTGRES_URL"
	flagPostgres     = "postgres"
)

// postgresFlag adds --postgres. Its default is not shown: it may hold a password.
func postgresFlag(flags *pflag.FlagSet, into *string, usage string) {
	flags.StringVar(into, flagPostgres, "", usage+", postgres://USER:PASSWORD@HOST:PORT/DATABASE (default $"+postgresVariable+")")
}

// isLibpq reports whether a variable is one of those that PostgreSQL's clients read, such as PGSSLROOTCERT.
func isLibpq(name string) bool { return strings.HasPrefix(name, "PG") }

// preparePostgres brings the schema up to date before anything is started, so that what is wrong is said once.
func (p *Platform) preparePostgres() error {
	if p.config.Postgres == "" {
		return nil
	}

	done, err := postgres.Migrate(context.Background(), p.config.Postgres, false)
	p.database = done

	return err
}
