package app

import (
	"fmt"
	"regexp"

	"github.com/spf13/cobra"
)

// agentForm is what agents' names look like; anything else would be another path of the API.
var agentForm = regexp.MustCompile(`^[a-z][a-z0-9-]{0,39}$`)

func newCanaryCommand(env *Env) *cobra.Command {
	command := &cobra.Command{
		Use:     "canary",
		Aliases: []string{"rollout"},
		Short:   "Roll changes of agents out, and take them back",
		Long: `Moves an agent from its stable revision to a candidate. A conversation keeps the revision that
it began with; new ones are split by weight. Editing an agent's file while serin up runs starts a
rollout by itself. All of these commands need the role operator.

A rollout goes through its steps, such as 5, 25, 50 and 100%. By default a person promotes each;
an automatic one goes on by itself, and aborts by itself if the candidate fails too often or is
too slow. In either, a candidate without a ready process for 3 s is aborted.

They speak to the serin up of --data or the gateway of --url, or else to the controller of a
cluster: the one of --context and -n, or, if no serin up is found, of the kubeconfig's current
context. A cluster's users need rights there: verbs such as get, promote and abort on
agents.serin.dev, and create on pods/portforward.

Exit codes: 0 done; 1 refused or failed: there is nothing to promote, the gateway can't be
reached, or, with start -w and retry -w, the candidate was not promoted; 2 the command line or
the file is not right, or there is no such agent or revision.`,
		Example: `  serin canary status -w                       # everything that rolls out, as it goes
  serin canary start billing -f billing.yaml   # try a changed file
  serin canary promote billing                 # on to the next step
  serin canary abort billing                   # back to what was
  serin canary status --context prod -n agents # in a cluster`,
	}
	command.AddCommand(
		newCanaryStartCommand(env),
		newCanaryStatusCommand(env),
		newCanarySetCommand(env),
		newCanaryPauseCommand(env),
		newCanaryResumeCommand(env),
		newCanaryPromoteCommand(env),
		newCanaryAbortCommand(env),
		newCanaryUndoCommand(env),
		newCanaryRetryCommand(env),
		newCanaryHistoryCommand(env),
		newCanaryDiffCommand(env),
	)

	return command
}

// agentArgs wants an agent, and as many further arguments as named, in words.
func agentArgs(least, most int, usage string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) < least || len(args) > most {
			return fmt.Errorf("want %s, not %s", usage, count(len(args), "argument"))
		}

		if len(args) > 0 && !agentForm.MatchString(args[0]) {
			return fmt.Errorf("%q can't be an agent: names are lower case letters, digits and -; serin canary status lists them", args[0])
		}

		return nil
	}
}
