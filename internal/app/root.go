// Package app is the command tree and all the wiring: the only place that knows every room of the house.
package app

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// Main runs the command line of this process and returns its exit code. The OpenAPI document is what the gateway serves.
func Main(openAPI []byte) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// A second signal ends the process the hard way.
	context.AfterFunc(ctx, stop)

	env := ProcessEnv()
	env.OpenAPI = openAPI

	return Execute(ctx, env, os.Args[1:])
}

// Execute runs a command line in the given environment and returns the exit code.
func Execute(ctx context.Context, env *Env, args []string) int {
	root := newRootCommand(env)
	root.SetArgs(args)

	err := root.ExecuteContext(ctx)
	if err != nil {
		env.PrintError(err)
	}

	return ExitCode(err)
}

func newRootCommand(env *Env) *cobra.Command {
	root := &cobra.Command{
		Use:   "serin",
		Short: "Run teams of LLM agents, and roll their changes out as canaries",
		Long: `Serin runs teams of LLM agents as services: they hand conversations to each other,
execute tools and share context over mTLS gRPC, and users talk REST.

Exit codes: 0 done, 1 failed, 2 the command line or a file is not right.`,
		Example: `  serin up                       # start the example agents and everything they need
  serin chat "My invoice was charged twice"
  serin agents validate ./agents`,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.SetIn(env.Stdin)
	root.SetOut(env.Stdout)
	root.SetErr(env.Stderr)
	root.AddCommand(
		newUpCommand(env),
		newChatCommand(env),
		newConversationsCommand(env),
		newMemoriesCommand(env),
		newCanaryCommand(env),
		newAgentsCommand(env),
		newLoadtestCommand(env),
		newLoadConfigCommand(env),
		newMigrateCommand(env),
		newDemoCommand(env),
		newServeCommand(env),
		newVersionCommand(env),
	)
	asPlugin(root, env)
	markUsage(root)

	return root
}
