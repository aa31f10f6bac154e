package app

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/codes"

	"github.com/serinhq/serin/internal/agentspec"
	"github.com/serinhq/serin/internal/fault"
	"github.com/serinhq/serin/internal/supervise"
)

// The exit codes of every command.
const (
	exitOK      = 0
	exitFailure = 1
	exitUsage   = 2
)

// inputReasons are the faults that a user mends at the command line or in a file, whatever their code.
var inputReasons = []string{"PORT_TAKEN", "DATA_DIR_IN_USE", "DATA_DIR_UNUSABLE", "DATABASE_DENIED", "DATABASE_MISSING", "NO_PERMISSION"}

// ExitCode returns the exit code for a command's error: 0 without one, 2 if the command line or a file is not right, 1
// for everything else.
func ExitCode(err error) int {
	if err == nil {
		return exitOK
	}

	if misconfigured := (*misconfiguredError)(nil); errors.As(err, &misconfigured) {
		return supervise.ExitConfig
	}

	var (
		usage    *usageError
		problems agentspec.Problems
		config   *supervise.ConfigError
	)

	if errors.As(err, &usage) || errors.As(err, &problems) || errors.As(err, &config) || fault.Is(err, inputReasons...) {
		return exitUsage
	}

	if slices.Contains([]codes.Code{codes.InvalidArgument, codes.OutOfRange, codes.NotFound}, fault.CodeOf(err)) {
		return exitUsage
	}

	return exitFailure
}

// misconfiguredError tells the supervisor that starting a workload again would not help.
type misconfiguredError struct{ err error }

func (e *misconfiguredError) Error() string { return e.err.Error() }
func (e *misconfiguredError) Unwrap() error { return e.err }

// forSupervisor marks the errors of a workload that would exit with 2: the supervisor knows a code of its own for them,
// since Go exits with 2 on a panic as well.
func forSupervisor(err error) error {
	if ExitCode(err) == exitUsage {
		return &misconfiguredError{err}
	}

	return err
}

// usageError is a command line that is not right.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// usageErrorf makes an error that exits with 2.
func usageErrorf(format string, args ...any) error {
	return &usageError{fmt.Errorf(format, args...)}
}

// PrintError tells a person what went wrong: problems of files one per line, ready for editors; anything else in one
// line, with the fields that are not right below.
func (e *Env) PrintError(err error) {
	var problems agentspec.Problems

	switch {
	case errors.As(err, &problems):
		_, _ = fmt.Fprintln(e.Stderr, printable(problems.Error()))
	default:
		_, _ = fmt.Fprintf(e.Stderr, "serin: %s\n", printable(err.Error()))
	}
}

// markUsage makes every error that cobra itself finds in a command line a usage error, with a word on where help is; and
// makes groups of commands refuse words that they do not know.
func markUsage(command *cobra.Command) {
	command.SetFlagErrorFunc(withHelp)

	if command.HasSubCommands() && !command.Runnable() {
		command.Args = noSuchCommand
		command.RunE = func(command *cobra.Command, _ []string) error {
			return command.Help()
		}
	}

	if check := command.Args; check != nil {
		command.Args = func(command *cobra.Command, args []string) error {
			if err := check(command, args); err != nil {
				return withHelp(command, err)
			}

			return nil
		}
	}

	for _, sub := range command.Commands() {
		markUsage(sub)
	}
}

func noSuchCommand(command *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}

	hint := ""
	command.SuggestionsMinimumDistance = 2

	if near := command.SuggestionsFor(args[0]); len(near) > 0 {
		hint = "; did you mean " + strings.Join(near, " or ") + "?"
	}

	return fmt.Errorf("unknown command %q for %q%s", args[0], command.CommandPath(), hint)
}

func withHelp(command *cobra.Command, err error) error {
	return usageErrorf("%w (see %s --help)", err, command.CommandPath())
}

// oneArg wants exactly one argument, and says which.
func oneArg(name string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) != 1 {
			return fmt.Errorf("want one %s, not %d arguments", name, len(args))
		}

		return nil
	}
}
