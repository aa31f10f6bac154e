package app

import (
	"context"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"

	rolloutv1 "github.com/serinhq/serin/gen/serin/rollout/v1"
	"github.com/serinhq/serin/internal/agentspec"
	"github.com/serinhq/serin/internal/fault"
)

// canaryStart are the flags of serin canary start.
type canaryStart struct {
	canaryFlags

	file, revision, steps string
	pause                 time.Duration
	auto, wait, adopt     bool
}

func newCanaryStartCommand(env *Env) *cobra.Command {
	options := &canaryStart{}
	command := &cobra.Command{
		Use:   "start AGENT -f FILE | --revision REVISION",
		Short: "Make a file's revision of an agent the candidate",
		Long: `Reads the agent from a file, or from a folder of files, and begins to roll it out. A rollout
that is in progress is aborted first. What the file's rollout section says holds where no flag does.
With --revision it is one that the controller knows, as serin canary history tells of them.

The folder that serin up watches stays as it is: the next change of the agent's file there starts
a rollout of that. In a cluster the file is applied as the Agent object, as kubectl apply would,
with the plan of the flags in it; no other command ever writes one.

With --adopt, in a cluster, the agent is driven by someone's own VirtualService and DestinationRule
with the subsets stable and canary, which select pods by the label version: revisions take turns in
them, and nothing but weights is written. Routes then know of no conversations. Those stay on their
revision because Serin's agents refuse the others' and callers ask again; other callees do not.`,
		Example: `  serin canary start billing -f billing.yaml
  serin canary start billing -f billing.yaml --steps 10,50,100 --pause 2m --auto
  serin canary start billing --revision 340f4648b155
  serin canary start billing -f billing.yaml --auto -w   # exit code 0 once it is stable, 1 if it was aborted`,
		Args: agentArgs(1, 1, "one AGENT"),
		RunE: func(command *cobra.Command, args []string) error {
			plan, err := options.plan(command)
			if err != nil {
				return err
			}

			return options.withRollouts(command, env, func(c rolloutAPI) error {
				return options.run(command.Context(), env, c, args[0], plan)
			})
		},
	}

	options.register(command, env)

	flags := command.Flags()
	flags.StringVarP(&options.file, "file", "f", "", "file, or folder of files, with the agent")
	flags.StringVar(&options.revision, "revision", "", "a revision that is known already, in place of a file")
	flags.StringVar(&options.steps, "steps", "", "percentages of new conversations in order, such as 5,25,50,100")
	flags.DurationVar(&options.pause, "pause", 0, "least time at each step of an automatic rollout, such as 10m")
	flags.BoolVar(&options.auto, "auto", false, "let the gate decide about going on and about aborting")
	flags.BoolVar(&options.adopt, "adopt", false, "drive hand-written subsets named stable and canary, by weights alone")
	flags.BoolVarP(&options.wait, "watch", "w", false, "watch until it is stable (exit code 0) or was aborted (1)")

	return command
}

// plan is what the flags say of the plan; what they do not say stays as declared.
func (o *canaryStart) plan(command *cobra.Command) (*rolloutv1.Plan, error) {
	changed := command.Flags().Changed
	plan := &rolloutv1.Plan{Automatic: o.auto}

	switch {
	case o.file == "" && o.revision == "":
		return nil, usageErrorf("-f is missing: name the file with the changed agent")
	case o.file != "" && o.revision != "":
		return nil, usageErrorf("-f and --revision both say what to roll out: leave one of them out")
	case o.adopt && o.file == "":
		return nil, usageErrorf("--adopt: it is written into the agent; name its file with -f")
	case changed("auto") && !o.auto:
		return nil, usageErrorf("--auto=false: leave --auto out, and promotion: automatic out of the file")
	case changed("pause") && o.pause < 0:
		return nil, usageErrorf("--pause %s: want a time of at least 0", o.pause)
	case changed("pause"):
		plan.Pause = durationpb.New(o.pause)
	}

	if !changed("steps") {
		return plan, nil
	}

	steps, err := parseSteps(o.steps)
	plan.Steps = steps

	return plan, err
}

// parseSteps reads rising percentages.
func parseSteps(text string) ([]int32, error) {
	steps, last := []int32{}, int64(0)

	for part := range strings.SplitSeq(text, ",") {
		step, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(part), "%"), 10, 32)
		if err != nil || step <= last || step > 100 {
			return nil, usageErrorf("--steps %q: want rising percentages from 1 to 100, such as 5,25,50,100", text)
		}

		steps, last = append(steps, int32(step)), step
	}

	return steps, nil
}

func (o *canaryStart) run(ctx context.Context, env *Env, c rolloutAPI, agent string, plan *rolloutv1.Plan) error {
	begin := o.fromFile
	if o.revision != "" {
		begin = o.fromRevision
	}

	rollout, err := begin(ctx, c, agent, plan)
	if err != nil {
		return err
	}

	return o.begun(ctx, env, c, rollout, o.wait)
}

func (o *canaryStart) fromFile(ctx context.Context, c rolloutAPI, agent string, plan *rolloutv1.Plan) (*rolloutv1.Rollout, error) {
	declared, err := readDeclared(o.file, agent)
	if err != nil {
		return nil, err
	}

	resolved, err := completeHandoffs(ctx, c, declared)
	if err != nil {
		return nil, err
	}

	rollout, err := c.declare(ctx, &declaredChange{declared: declared, resolved: resolved, plan: plan, adopt: o.adopt})
	if err != nil {
		return nil, inFile(o.file, err)
	}

	return rollout, nil
}

func (o *canaryStart) fromRevision(ctx context.Context, c rolloutAPI, agent string, plan *rolloutv1.Plan) (*rolloutv1.Rollout, error) {
	known, err := c.revision(ctx, agent, o.revision)
	if err != nil {
		return nil, err
	}

	return c.steer(ctx, agent, "start", &rolloutv1.StartRolloutRequest{Declaration: known.GetDeclaration(), Plan: plan})
}

// begun shows a rollout that began, to its end if that is asked for.
func (f *canaryFlags) begun(ctx context.Context, env *Env, c rolloutAPI, rollout *rolloutv1.Rollout, wait bool) error {
	if !wait {
		return f.show(env, rollout)
	}

	watch := &canaryWatch{client: c, agent: rollout.GetAgent(), view: f.view(env, c), until: endOf(rollout)}

	return watch.run(ctx)
}

// readDeclared returns an agent of a folder, or of a file by itself.
func readDeclared(path, name string) (agentspec.Agent, error) {
	info, err := os.Stat(path)
	if err != nil || !info.IsDir() {
		return agentspec.LoadOne(path, name)
	}

	set, err := agentspec.Load(path)
	if err != nil {
		return agentspec.Agent{}, err
	}

	declared, found := set.Agent(name)
	if !found {
		return declared, usageErrorf("-f %s: there is no agent %q in it", path, name)
	}

	return declared, nil
}

// completeHandoffs says when to hand off where a file by itself does not: the other agents' descriptions do, so that the
// file has the same revision as in their folder.
func completeHandoffs(ctx context.Context, c rolloutAPI, declared agentspec.Agent) (agentspec.Agent, error) {
	others := agentspec.Set{}

	for _, handoff := range declared.Spec.Handoffs {
		if handoff.When != "" {
			continue
		}

		other, err := c.revision(ctx, handoff.Agent, "stable")
		if fault.CodeOf(err) == codes.NotFound {
			continue // the controller says so, with the agents that there are
		}

		if err != nil {
			return declared, err
		}

		found, err := agentspec.UnmarshalResolved([]byte(other.GetDeclaration()))
		if err != nil {
			return declared, err
		}

		others.Agents = append(others.Agents, found)
	}

	return others.Resolve(declared), nil
}

// inFile says of an error about a declaration which file it is about.
func inFile(path string, err error) error {
	found := fault.From(err)
	if len(found.Violations) == 0 || found.Violations[0].Field != "declaration" {
		return err
	}

	problems := agentspec.Problems{}
	for _, violation := range found.Violations {
		problems = append(problems, agentspec.Problem{File: path, Message: violation.Message})
	}

	return problems
}
