package app

import (
	"github.com/spf13/cobra"
)

func newLoadtestCommand(env *Env) *cobra.Command {
	command := &cobra.Command{
		Use:   "loadtest",
		Short: "Make load, and check what every conversation sees",
		Example: `  serin loadtest run steady --rate 20 --duration 1m
  serin loadtest run canary --canary billing --weight 10`,
	}
	command.AddCommand(newLoadtestRunCommand(env))

	return command
}

func newLoadtestRunCommand(env *Env) *cobra.Command {
	command := &cobra.Command{
		Use:   "run",
		Short: "Run a load scenario against a gateway",
		Long: `Conversations begin at their times however busy the platform is, and latency counts from when
a message should have been sent. Every conversation is checked: one revision of each agent, no
event lost or doubled, no turn failed.

Exit codes: 0 every bar was met, 1 one was missed or the load could not be made, 2 the command
line is not right.`,
		Example: `  serin loadtest run steady
  serin loadtest run ramp --rate 5 --peak 50 --duration 2m --html ramp.html
  serin loadtest run spike --rate 10 --peak 100 --bar p99=2s
  serin loadtest run canary --canary billing --line '@sim fail=0.3'`,
	}
	command.AddCommand(
		newLoadtestSteadyCommand(env), newLoadtestRampCommand(env), newLoadtestSpikeCommand(env), newLoadtestCanaryCommand(env),
	)

	return command
}
