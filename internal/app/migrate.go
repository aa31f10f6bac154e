package app

import (
	"cmp"
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/serinhq/serin/services/contextstore/postgres"
)

func newMigrateCommand(env *Env) *cobra.Command {
	var (
		at     string
		dryRun bool
		format *outputFormat
	)

	command := &cobra.Command{ //nolint:gosec // the password is an example
		Use:   "migrate",
		Short: "Bring the schema of a PostgreSQL database up to date",
		Long: `Makes the tables for conversations in a PostgreSQL database, or adds what a new release needs.

Run it before the processes of a new release start; those of the release before go on with the new schema. The user
needs to own the schema's tables, or to be allowed to make them (GRANT CREATE ON SCHEMA public); it should be no
superuser, because row-level security keeps tenants apart only for others. serin up does this by itself.

With the extension vector (pgvector) memories are found by vectors, too. It is added if the server has it and the user may;
without it they are found by words alone. Install it at any time, and run serin migrate again.`,
		Example: `  serin migrate --postgres postgres://serin@localhost:5432/serin --dry-run
  SERIN_POSTGRES_URL=postgres://serin:secret@db/serin serin migrate -o json`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			at = cmp.Or(at, env.get(postgresVariable))
			if at == "" {
				return usageErrorf("--%s: must be the URL of a database, here or in %s", flagPostgres, postgresVariable)
			}

			return migrate(command.Context(), env, at, dryRun, *format)
		},
	}

	postgresFlag(command.Flags(), &at, "the database")
	command.Flags().BoolVar(&dryRun, "dry-run", false, "say what there is to do, and change nothing")
	format = outputFlag(command.Flags(), formatText, formatJSON, formatYAML)

	return command
}

func migrate(ctx context.Context, env *Env, at string, dryRun bool, format outputFormat) error {
	done, err := postgres.Migrate(ctx, at, dryRun)
	if err != nil {
		return err
	}

	if done.BypassesRowSecurity {
		_, _ = fmt.Fprintln(env.Stderr, "serin: row-level security does not keep tenants apart for this user: it is a superuser, or has "+
			"BYPASSRLS") // as printf
	}

	if problem := done.Vectors.Problem; problem != "" {
		_, _ = fmt.Fprintln(env.Stderr, "serin: memories are found by words alone: "+problem) // as printf
	}

	if format != formatText {
		return printValue(env.Stdout, format, done)
	}

	verb := "applied"
	if dryRun {
		verb = "would apply"
	}

	for _, name := range done.Applied {
		_, _ = fmt.Fprintf(env.Stdout, "%s %s\n", verb, name) // as printf
	}

	if done.Vectors.Added {
		_, _ = fmt.Fprintf(env.Stdout, "%s vectors of memories (extension vector)\n", verb) // as printf
	}

	switch {
	case len(done.Applied) == 0:
		_, err = fmt.Fprintf(env.Stdout, "%s is up to date: schema version %d\n", done.Database, done.To)
	case dryRun:
		_, err = fmt.Fprintf(env.Stdout, "%s would go from schema version %d to %d\n", done.Database, done.From, done.To)
	default:
		_, err = fmt.Fprintf(env.Stdout, "%s went from schema version %d to %d\n", done.Database, done.From, done.To)
	}

	return err //nolint:wrapcheck // nothing to add
}
