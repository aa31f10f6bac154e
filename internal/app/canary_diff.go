package app

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"github.com/rogpeppe/go-internal/diff"
	"github.com/spf13/cobra"
	"google.golang.org/grpc/codes"

	rolloutv1 "github.com/serinhq/serin/gen/serin/rollout/v1"
	"github.com/serinhq/serin/internal/agentspec"
	"github.com/serinhq/serin/internal/fault"
)

// shownDiff is how many lines of a diff the status shows.
const shownDiff = 30

func newCanaryDiffCommand(env *Env) *cobra.Command {
	flags := &canaryFlags{}
	command := &cobra.Command{
		Use:   "diff AGENT [FROM [TO]]",
		Short: "Show what changed between two revisions",
		Long: `Shows the difference of two revisions as declared: prompt, model, tools and the rest. FROM and TO are
names of revisions, or stable, or candidate. Without them it is from stable to the candidate; where
there is none, to what was rejected last, or to stable from the revision before it.`,
		Example: `  serin canary diff billing
  serin canary diff billing 03eab8d9eace 340f4648b155`,
		Args: agentArgs(1, 3, "AGENT, and FROM and TO if they are not stable and candidate"),
		RunE: func(command *cobra.Command, args []string) error {
			return flags.withRollouts(command, env, func(c rolloutAPI) error {
				return flags.diff(command.Context(), env, c, args[0], args[1:])
			})
		},
	}
	flags.register(command, env)

	return command
}

// revisionDiff is what -o json and yaml print.
type revisionDiff struct {
	Agent string `json:"agent"`
	From  string `json:"from"`
	To    string `json:"to"`
	Diff  string `json:"diff"`
}

func (f *canaryFlags) diff(ctx context.Context, env *Env, c rolloutAPI, agent string, names []string) error {
	if len(names) == 1 {
		names = append(names, "candidate")
	}

	if len(names) == 0 {
		found, err := c.rollouts(ctx, agent)
		if err != nil {
			return err
		}

		if names, err = compared(found.GetRollouts()[0]); err != nil {
			return err
		}
	}

	found, err := diffRevisions(ctx, c, agent, names[0], names[1])
	if err != nil {
		return err
	}

	if *f.format != formatText {
		return printValue(env.Stdout, *f.format, found)
	}

	text := &strings.Builder{}
	page := &rolloutPage{paint: paint{env.colours()}, out: text}
	page.diffLines(strings.SplitAfter(found.Diff, "\n"))

	if found.Diff == "" {
		fmt.Fprintf(text, "%s and %s are the same\n", found.From, found.To)
	}

	return write(env.Stdout, []byte(text.String()))
}

// compared are the revisions to compare if none are named.
func compared(rollout *rolloutv1.Rollout) ([]string, error) {
	rejected := ""

	for _, revision := range rollout.GetRevisions() {
		if revision.GetRole() == "rejected" {
			rejected = revision.GetRevision()
		}
	}

	if other := cmp.Or(rollout.GetCandidate(), rejected); other != "" {
		return []string{rollout.GetStable(), other}, nil
	}

	if before := rollout.GetUndoRevision(); before != "" {
		return []string{before, rollout.GetStable()}, nil
	}

	return nil, fault.New(codes.FailedPrecondition, "NO_CANDIDATE",
		"%s has no candidate to compare with %s; name two revisions that `serin canary history %s` tells of: serin canary diff %s FROM TO",
		rollout.GetAgent(), rollout.GetStable(), rollout.GetAgent(), rollout.GetAgent())
}

// diffRevisions compares two revisions as YAML, which has a prompt's lines as lines.
func diffRevisions(ctx context.Context, c rolloutAPI, agent, from, to string) (revisionDiff, error) {
	before, beforeText, err := readRevision(ctx, c, agent, from)
	if err != nil {
		return revisionDiff{}, err
	}

	after, afterText, err := readRevision(ctx, c, agent, to)
	if err != nil {
		return revisionDiff{}, err
	}

	_, text, _ := strings.Cut(string(diff.Diff(agent+" "+before, beforeText, agent+" "+after, afterText)), "\n")

	return revisionDiff{Agent: agent, From: before, To: after, Diff: text}, nil
}

func readRevision(ctx context.Context, c rolloutAPI, agent, name string) (short string, text []byte, err error) {
	found, err := c.revision(ctx, agent, name)
	if err != nil {
		return "", nil, err
	}

	text, err = toYAML([]byte(found.GetDeclaration()))

	return agentspec.Short(found.GetRevision()), text, err
}

// diffLines writes a diff in colours.
func (p *rolloutPage) diffLines(lines []string) {
	for _, line := range lines {
		text := printable(strings.TrimSuffix(line, "\n"))

		switch {
		case line == "":
			continue
		case strings.HasPrefix(line, "+++"), strings.HasPrefix(line, "---"):
			text = p.paint.bold(text)
		case strings.HasPrefix(line, "+"):
			text = p.paint.good(text)
		case strings.HasPrefix(line, "-"):
			text = p.paint.bad(text)
		case strings.HasPrefix(line, "@@"):
			text = p.paint.dim(text)
		}

		p.out.WriteString(text + "\n")
	}
}

// diff writes what a candidate changes, in short if it is long.
func (p *rolloutPage) diff(text, agent string) {
	if text == "" {
		return
	}

	lines := strings.SplitAfter(text, "\n")
	more := len(lines) - shownDiff

	p.out.WriteByte('\n')
	p.diffLines(lines[:min(len(lines), shownDiff)])

	if more > 0 {
		fmt.Fprintf(p.out, "%s\n", p.paint.dim(fmt.Sprintf("... %d more lines: serin canary diff %s", more, agent)))
	}
}

// revisionChanges remembers what candidates change: revisions never do.
type revisionChanges struct {
	client rolloutAPI
	known  map[string]string
}

func newChanges(c rolloutAPI) *revisionChanges {
	return &revisionChanges{client: c, known: map[string]string{}}
}

// of returns the diff from a rollout's stable revision to its candidate; empty if there is none, or it can't be had now.
func (r *revisionChanges) of(ctx context.Context, rollout *rolloutv1.Rollout) string {
	if rollout.GetCandidate() == "" {
		return ""
	}

	key := strings.Join([]string{rollout.GetAgent(), rollout.GetStable(), rollout.GetCandidate()}, " ")
	if text, known := r.known[key]; known {
		return text
	}

	found, err := diffRevisions(ctx, r.client, rollout.GetAgent(), rollout.GetStable(), rollout.GetCandidate())
	if err == nil {
		r.known[key] = found.Diff
	}

	return found.Diff
}
