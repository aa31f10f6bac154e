package app

import (
	"cmp"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	rolloutv1 "github.com/serinhq/serin/gen/serin/rollout/v1"
)

func newCanaryHistoryCommand(env *Env) *cobra.Command {
	flags, limit := &canaryFlags{}, 0
	command := &cobra.Command{
		Use:   "history AGENT",
		Short: "Show who did what to an agent's rollouts, newest first",
		Example: `  serin canary history billing
  serin canary history billing --limit 500 -o json`,
		Args: agentArgs(1, 1, "one AGENT"),
		RunE: func(command *cobra.Command, args []string) error {
			if limit < 1 {
				return usageErrorf("--limit %d: want at least 1", limit)
			}

			return flags.withRollouts(command, env, func(c rolloutAPI) error {
				found, err := allHistory(command.Context(), c, args[0], limit)
				if err != nil {
					return err
				}

				return printHistory(env, *flags.format, found)
			})
		},
	}
	flags.register(command, env)
	command.Flags().IntVar(&limit, "limit", 50, "how many at most")

	return command
}

func printHistory(env *Env, format outputFormat, found *rolloutv1.ListHistoryResponse) error {
	if format != formatText {
		return printValue(env.Stdout, format, found)
	}

	rows := make([][]string, len(found.GetEntries()))
	for i, entry := range found.GetEntries() {
		rows[i] = []string{
			when(entry.GetTime()), entry.GetActor(), entry.GetAction(), strconv.FormatInt(entry.GetAttempt(), 10),
			snapshotText(entry.GetBefore()), snapshotText(entry.GetAfter()), entry.GetReason(),
		}
	}

	return printTable(env, []string{"TIME", "WHO", "WHAT", "ATTEMPT", "BEFORE", "AFTER", "WHY"}, rows)
}

// snapshotText is a rollout in short: its phase, and who gets what.
func snapshotText(snapshot *rolloutv1.Snapshot) string {
	text := phaseName(snapshot.GetPhase()) + " " + cmp.Or(snapshot.GetStable(), nothingYet)
	if snapshot.GetCandidate() != "" {
		text += fmt.Sprintf(" + %d%% %s", snapshot.GetWeight(), snapshot.GetCandidate())
	}

	return text
}
