package app

import (
	"context"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/serinhq/serin/internal/agentspec"
	"github.com/serinhq/serin/loadtest"
)

func newLoadtestSteadyCommand(env *Env) *cobra.Command {
	options := &loadOptions{}
	command := &cobra.Command{
		Use:   "steady",
		Short: "A constant rate of new conversations",
		Long:  "A constant rate of new conversations.",
		Example: `  serin loadtest run steady --rate 20 --duration 1m --bar p99=1s
  serin loadtest run steady --turns 1 --think 2s -o json`,
		RunE: func(command *cobra.Command, _ []string) error {
			return options.run(command.Context(), env, loadtest.Steady(options.rate, options.duration))
		},
	}
	options.register(command, env, 0)
	options.registerDuration(command.Flags(), 30*time.Second)

	return command
}

func newLoadtestRampCommand(env *Env) *cobra.Command {
	return newPeakCommand(env, &cobra.Command{
		Use:     "ramp",
		Short:   "A rate that goes evenly up to a peak",
		Long:    "A rate of new conversations that goes evenly from --rate to --peak.",
		Example: `  serin loadtest run ramp --rate 1 --peak 50 --duration 2m --html ramp.html`,
	}, time.Minute, loadtest.Ramp)
}

func newLoadtestSpikeCommand(env *Env) *cobra.Command {
	return newPeakCommand(env, &cobra.Command{
		Use:     "spike",
		Short:   "A rate that jumps to a peak in the middle",
		Long:    "A steady rate of new conversations that jumps from --rate to --peak for the middle fifth of the time.",
		Example: `  serin loadtest run spike --rate 10 --peak 100 --bar p99=2s`,
	}, 30*time.Second, loadtest.Spike)
}

func newPeakCommand(env *Env, command *cobra.Command, standard time.Duration,
	scenario func(rate, peak float64, duration time.Duration) loadtest.Scenario,
) *cobra.Command {
	options, peak := &loadOptions{}, 0.0
	command.RunE = func(command *cobra.Command, _ []string) error {
		return options.run(command.Context(), env, scenario(options.rate, peak, options.duration))
	}

	options.register(command, env, 0)
	options.registerDuration(command.Flags(), standard)
	command.Flags().Float64Var(&peak, "peak", 50, "new conversations per second at the peak")

	return command
}

// canaryOptions are the flags of the canary scenario.
type canaryOptions struct {
	loadOptions

	canary loadtest.Canary
	file   string
	end    string
}

func newLoadtestCanaryCommand(env *Env) *cobra.Command {
	options := &canaryOptions{}
	command := &cobra.Command{
		Use:   "canary",
		Short: "A rollout beside a steady load: its share, and its end",
		Long: `Starts a candidate at a weight beside a steady load, measures whether it gets its share of new
conversations (against the interval in which a fair draw lies with 99.999%), then aborts it and
measures when it got its last new turn; or promotes it. The candidate is the stable revision
with one line added to its prompt, or what -f says. It needs the role operator.

Further bars by default: share=0, and abort-p99=150ms if it ends with a withdrawal.`,
		Example: `  serin loadtest run canary --canary billing
  serin loadtest run canary --canary triage --weight 25 --conversations 1000 --end promote
  serin loadtest run canary --canary triage --repeats 20 --conversations 50  # abort's quantiles
  serin loadtest run canary --canary triage --line '@sim fail=0.3' --bar failed.PROVIDER_ERROR=1000`,
		RunE: func(command *cobra.Command, _ []string) error {
			if err := options.complete(command.Context()); err != nil {
				return err
			}

			scenario := loadtest.Steady(options.rate, options.duration)
			scenario.Name = "canary"

			return options.runScript(command.Context(), env, scenario, options.canary.Script(), options.canary.Bars()...)
		},
	}
	options.register(command, env, time.Second) // so that conversations are there before and after the end

	flags := command.Flags()
	options.registerDuration(flags, 15*time.Minute)
	flags.StringVar(&options.canary.Agent, "canary", "", "agent that gets a candidate")
	flags.StringVarP(&options.file, "file", "f", "", "folder of agent files, or one file, with the candidate")
	flags.StringVar(&options.canary.Line, "line", "", "line that is added to the stable revision's prompt instead")
	flags.Int32Var(&options.canary.Weight, "weight", 10, "percentage of new conversations, 1 to 99")
	flags.IntVar(&options.canary.Conversations, "conversations", 400, "new conversations at the weight before the end")
	flags.StringVar(&options.end, "end", string(loadtest.EndAbort), "abort, fence (abort that lets nothing finish), promote, undo, leave")
	flags.IntVar(&options.canary.Repeats, "repeats", 0, "how often an abort is retried and made again")
	flags.DurationVar(&options.canary.Settle, "settle", 3*time.Second, "how long the load goes on after the end")

	return command
}

// complete checks the flags, and reads the candidate.
func (o *canaryOptions) complete(ctx context.Context) error {
	o.canary.End = loadtest.End(o.end)
	ends := []loadtest.End{
		loadtest.EndAbort, loadtest.EndFence, loadtest.EndPromote, loadtest.EndUndo, loadtest.EndLeave,
	}

	switch {
	case o.canary.Agent == "":
		return usageErrorf("--canary is missing: name the agent that gets a candidate")
	case !slices.Contains(ends, o.canary.End):
		return usageErrorf("--end %q: want one of abort, fence, promote, undo, leave", o.end)
	case o.canary.Weight < 1 || o.canary.Weight > 99:
		return usageErrorf("--weight %d: want a percentage from 1 to 99", o.canary.Weight)
	case o.canary.Conversations < 1 || o.canary.Repeats < 0 || o.canary.Settle <= 0:
		return usageErrorf("--conversations must be at least 1, --repeats not negative, and --settle more than 0")
	case o.canary.Repeats > 0 && !o.canary.Withdraws():
		return usageErrorf("--repeats %d: only an abort can be repeated, not --end %s", o.canary.Repeats, o.end)
	case o.file != "" && o.canary.Line != "":
		return usageErrorf("--file and --line: one candidate at a time")
	case o.file == "":
		return nil
	default:
		return o.readCandidate(ctx)
	}
}

// readCandidate reads the candidate as serin canary start does.
func (o *canaryOptions) readCandidate(ctx context.Context) error {
	declared, err := readDeclared(o.file, o.canary.Agent)
	if err != nil {
		return err
	}

	return withClient(&o.endpoint, func(c *client) error {
		if declared, err = completeHandoffs(ctx, c, declared); err != nil {
			return err
		}

		resolved, err := agentspec.MarshalResolved(declared)
		o.canary.Declaration = string(resolved)

		return err
	})
}
