package app

import (
	"context"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/proto"

	rolloutv1 "github.com/serinhq/serin/gen/serin/rollout/v1"
)

// canaryFlags are what every command about rollouts has.
type canaryFlags struct {
	target targetFlags
	format *outputFormat
}

func (f *canaryFlags) register(command *cobra.Command, env *Env) {
	f.target.register(command.Flags(), env)
	f.format = outputFlag(command.Flags(), formatText, formatJSON, formatYAML)
}

func (f *canaryFlags) withRollouts(command *cobra.Command, env *Env, run func(rolloutAPI) error) error {
	return withRollouts(command, &f.target, env, run)
}

// show prints a rollout after a command.
func (f *canaryFlags) show(env *Env, rollout *rolloutv1.Rollout) error {
	if *f.format != formatText {
		return printValue(env.Stdout, *f.format, &rolloutv1.GetRolloutResponse{Rollout: rollout})
	}

	text := &strings.Builder{}
	page := &rolloutPage{paint: paint{env.colours()}, out: text}
	page.headline(rollout)
	page.facts(rollout)

	return write(env.Stdout, []byte(text.String()))
}

// steering is a command that changes a rollout. The request is made from the arguments after the agent.
type steering struct {
	canaryFlags

	verb    string
	request func(args []string) (proto.Message, error)
}

func (s *steering) run(command *cobra.Command, env *Env, args []string) error {
	request, err := s.request(args[1:])
	if err != nil {
		return err
	}

	return s.withRollouts(command, env, func(c rolloutAPI) error {
		rollout, err := c.steer(command.Context(), args[0], s.verb, request)
		if err != nil {
			return err
		}

		return s.show(env, rollout)
	})
}

// into makes a cobra command of it.
func (s *steering) into(command *cobra.Command, env *Env) *cobra.Command {
	if command.Args == nil {
		command.Args = agentArgs(1, 1, "one AGENT")
	}

	command.RunE = func(command *cobra.Command, args []string) error { return s.run(command, env, args) }
	s.register(command, env)

	return command
}

// always is a request that the arguments do not change.
func always(request proto.Message) func([]string) (proto.Message, error) {
	return func([]string) (proto.Message, error) { return request, nil }
}

func newCanarySetCommand(env *Env) *cobra.Command {
	set := &steering{verb: "setWeight", request: func(args []string) (proto.Message, error) {
		weight, err := strconv.ParseInt(strings.TrimSuffix(args[0], "%"), 10, 32)
		if err != nil || weight < 0 || weight > 100 {
			return nil, usageErrorf("weight %q: want a percentage of new conversations from 0 to 100", args[0])
		}

		return &rolloutv1.SetWeightRequest{Weight: int32(weight)}, nil
	}}

	return set.into(&cobra.Command{
		Use:   "set AGENT WEIGHT",
		Short: "Give the candidate a share of new conversations by hand",
		Long: `Gives the candidate a percentage of new conversations, and pauses the rollout there. Conversations
that have begun keep what they have, also at 0; to take them back, abort.`,
		Example: `  serin canary set billing 30
  serin canary set billing 0      # no new conversations for now`,
		Args: agentArgs(2, 2, "AGENT and WEIGHT"),
	}, env)
}

func newCanaryPauseCommand(env *Env) *cobra.Command {
	pause := &steering{verb: "pause", request: always(&rolloutv1.PauseRolloutRequest{})}

	return pause.into(&cobra.Command{
		Use:     "pause AGENT",
		Short:   "Hold a rollout at its weight",
		Example: `  serin canary pause billing`,
	}, env)
}

func newCanaryResumeCommand(env *Env) *cobra.Command {
	resume := &steering{verb: "resume", request: always(&rolloutv1.ResumeRolloutRequest{})}

	return resume.into(&cobra.Command{
		Use:     "resume AGENT",
		Short:   "Go on with a paused rollout",
		Example: `  serin canary resume billing`,
	}, env)
}

func newCanaryPromoteCommand(env *Env) *cobra.Command {
	request := &rolloutv1.PromoteRolloutRequest{}
	promote := &steering{verb: "promote", request: always(request)}
	command := promote.into(&cobra.Command{
		Use:   "promote AGENT",
		Short: "Go on to the next step, or with --full to the end",
		Long: `Goes on to the next step at once. After the last one the candidate is the stable revision; the one
before is kept warm for a while (15 minutes by default), so that undo returns to it at once.`,
		Example: `  serin canary promote billing
  serin canary promote billing --full   # skip the steps that are left`,
	}, env)
	command.Flags().BoolVar(&request.Full, "full", false, "skip the steps that are left")

	return command
}

func newCanaryAbortCommand(env *Env) *cobra.Command {
	request := &rolloutv1.AbortRolloutRequest{}
	abort := &steering{verb: "abort", request: always(request)}
	command := abort.into(&cobra.Command{
		Use:   "abort AGENT",
		Short: "Give everything back to the stable revision",
		Long: `New conversations go to the stable revision at once, those that met the candidate with their next
turn. A turn that runs finishes on the candidate; with --fence it starts again on the stable
revision, from its last checkpoint. No turn fails because of it.`,
		Example: `  serin canary abort billing
  serin canary abort billing --fence --reason "it promises refunds"`,
	}, env)
	command.Flags().BoolVar(&request.Fence, "fence", false, "let nothing finish on the candidate")
	command.Flags().StringVar(&request.Reason, "reason", "", "why, for the history")

	return command
}

func newCanaryUndoCommand(env *Env) *cobra.Command {
	undo := &steering{verb: "undo", request: always(&rolloutv1.UndoRolloutRequest{})}

	return undo.into(&cobra.Command{
		Use:     "undo AGENT",
		Short:   "Take a promotion back while the revision before is warm",
		Example: `  serin canary undo billing`,
	}, env)
}

func newCanaryRetryCommand(env *Env) *cobra.Command {
	options, wait := &canaryFlags{}, false
	command := &cobra.Command{
		Use:   "retry AGENT",
		Short: "Try a revision again that was aborted or undone",
		Long: `Starts the rejected revision again, as a new attempt whose numbers begin at 0. A revision that
was rejected is never tried again without this, also if its file is saved once more.`,
		Example: `  serin canary retry billing`,
		Args:    agentArgs(1, 1, "one AGENT"),
		RunE: func(command *cobra.Command, args []string) error {
			return options.withRollouts(command, env, func(c rolloutAPI) error {
				return retryRollout(command.Context(), env, c, options, args[0], wait)
			})
		},
	}
	options.register(command, env)
	command.Flags().BoolVarP(&wait, "watch", "w", false, "watch until it is stable (exit code 0) or was aborted (1)")

	return command
}

func retryRollout(ctx context.Context, env *Env, c rolloutAPI, flags *canaryFlags, agent string, wait bool) error {
	rollout, err := c.steer(ctx, agent, "retry", &rolloutv1.RetryRolloutRequest{})
	if err != nil {
		return err
	}

	return flags.begun(ctx, env, c, rollout, wait)
}
