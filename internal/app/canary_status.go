package app

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	rolloutv1 "github.com/serinhq/serin/gen/serin/rollout/v1"
)

func newCanaryStatusCommand(env *Env) *cobra.Command {
	flags, watch := &canaryFlags{}, false
	command := &cobra.Command{
		Use:   "status [AGENT]",
		Short: "Show rollouts: weights, revisions side by side, what changed",
		Long: `Shows every agent's rollout, and for one agent, or one whose rollout is in progress, its revisions
side by side: weights, conversations, turns, errors, latency, tokens and cost since the attempt
began, and what changed. A turn is here one agent's part of a turn.

With -w a terminal shows it as it changes, until Ctrl-C; anything else gets a line for each change,
and the numbers every 10 s.`,
		Example: `  serin canary status
  serin canary status billing -w
  serin canary status billing -o json | jq '.rollouts[0].weight'`,
		Args: agentArgs(0, 1, "at most one AGENT"),
		RunE: func(command *cobra.Command, args []string) error {
			agent := strings.Join(args, "")

			return flags.withRollouts(command, env, func(c rolloutAPI) error {
				view := flags.view(env, c)

				if watch {
					return (&canaryWatch{client: c, agent: agent, view: view}).run(command.Context())
				}

				return flags.status(command.Context(), env, c, agent)
			})
		},
	}
	flags.register(command, env)
	command.Flags().BoolVarP(&watch, "watch", "w", false, "go on with what changes, until Ctrl-C")

	return command
}

// status shows rollouts once.
func (f *canaryFlags) status(ctx context.Context, env *Env, c rolloutAPI, agent string) error {
	found, err := c.rollouts(ctx, agent)
	if err != nil {
		return err
	}

	if *f.format != formatText {
		return printValue(env.Stdout, *f.format, found)
	}

	page := newStatusPage(env, newChanges(c))

	return write(env.Stdout, []byte(page.render(ctx, agent, found.GetRollouts(), found.GetProblems())))
}

// view is how the flags want a watch to be shown.
func (f *canaryFlags) view(env *Env, c rolloutAPI) canaryView {
	switch {
	case *f.format != formatText:
		return valueView{env.Stdout, *f.format}
	case env.IsTerminal:
		return &screenView{out: env.Stdout, page: newStatusPage(env, newChanges(c)), height: env.Height}
	default:
		return newLineView(env.Stdout)
	}
}

// valueView writes each change as JSON or YAML.
type valueView struct {
	out    io.Writer
	format outputFormat
}

func (v valueView) show(_ context.Context, now canaryNow) error {
	return printLine(v.out, v.format, now.change)
}

// screenView draws the status again over what is there.
type screenView struct {
	out    io.Writer
	page   *statusPage
	height func() int
	drawn  bool
}

const (
	clearScreen = "\x1b[2J"
	toTheTop    = "\x1b[H"
	clearLine   = "\x1b[K"
	clearBelow  = "\x1b[J"
)

func (v *screenView) show(ctx context.Context, now canaryNow) error {
	text := v.fit(v.page.render(ctx, now.agent, now.rollouts, now.change.GetProblems()))
	frame := toTheTop + strings.ReplaceAll(text, "\n", clearLine+"\n") + clearBelow

	if !v.drawn {
		v.drawn, frame = true, clearScreen+frame
	}

	return write(v.out, []byte(frame))
}

// fit cuts what the window has no room for: what is drawn beyond its end would push the rest out at the top.
func (v *screenView) fit(text string) string {
	if v.height == nil {
		return text
	}

	lines, room := strings.SplitAfter(text, "\n"), v.height()-2 // for the line that says so, and the cursor
	if room <= 0 || len(lines) <= room+2 {
		return text
	}

	return strings.Join(lines[:room], "") + fmt.Sprintf("(%d more lines; they need a higher window)\n", len(lines)-1-room)
}

// statusPage is what serin canary status shows.
type statusPage struct {
	env     *Env
	changes *revisionChanges
}

func newStatusPage(env *Env, changes *revisionChanges) *statusPage {
	return &statusPage{env: env, changes: changes}
}

// render writes the page: all rollouts as a table unless one is asked for, and those in progress in full.
func (p *statusPage) render(ctx context.Context, agent string, rollouts []*rolloutv1.Rollout, problems []string) string {
	text := &strings.Builder{}
	page := &rolloutPage{paint: paint{p.env.colours()}, out: text}

	if agent == "" {
		page.overview(rollouts)
	}

	for _, rollout := range rollouts {
		if agent == "" && !inProgress(rollout) {
			continue
		}

		if text.Len() > 0 {
			text.WriteByte('\n')
		}

		page.headline(rollout)
		page.facts(rollout)
		page.sideBySide(rollout)
		page.diff(p.changes.of(ctx, rollout), rollout.GetAgent())
	}

	if len(problems) > 0 {
		text.WriteByte('\n')
		page.fileProblems(problems)
	}

	return text.String()
}

// inProgress reports whether a rollout is on its way.
func inProgress(rollout *rolloutv1.Rollout) bool {
	switch rollout.GetPhase() {
	case rolloutv1.Phase_PHASE_PREPARING, rolloutv1.Phase_PHASE_PROGRESSING, rolloutv1.Phase_PHASE_PAUSED,
		rolloutv1.Phase_PHASE_PROMOTING, rolloutv1.Phase_PHASE_ABORTING:
		return true
	case rolloutv1.Phase_PHASE_UNSPECIFIED, rolloutv1.Phase_PHASE_IDLE, rolloutv1.Phase_PHASE_SUCCEEDED,
		rolloutv1.Phase_PHASE_FAILED:
	}

	return false
}
