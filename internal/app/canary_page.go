package app

import (
	"cmp"
	"fmt"
	"strings"

	rolloutv1 "github.com/serinhq/serin/gen/serin/rollout/v1"
)

// splitWidth is how wide the picture of a split is.
const splitWidth = 40

// rolloutPage writes rollouts for people.
type rolloutPage struct {
	paint paint
	out   *strings.Builder
}

// overview is a table of all rollouts.
func (p *rolloutPage) overview(rollouts []*rolloutv1.Rollout) {
	table := newGrid(p.paint, "AGENT", "PHASE", "STABLE", "CANDIDATE", "WEIGHT", "STEP")

	for _, rollout := range rollouts {
		table.add(plainCell(rollout.GetAgent()), cell{phaseName(rollout.GetPhase()), p.phase(rollout.GetPhase())},
			plainCell(rollout.GetStable()), plainCell(cmp.Or(rollout.GetCandidate(), "-")), plainCell(weightText(rollout)),
			plainCell(stepText(rollout)))
	}

	table.write(p.out, "")
}

// headline says in a line where a rollout is.
func (p *rolloutPage) headline(rollout *rolloutv1.Rollout) {
	begun := ""
	if rollout.GetStartedAt() != nil {
		begun = fmt.Sprintf("attempt %d, since %s", rollout.GetAttempt(), clock(rollout.GetStartedAt()))
	}

	fmt.Fprintf(p.out, "%s  %s  %s\n", p.paint.agent(oneLine(rollout.GetAgent())),
		p.phase(rollout.GetPhase())(where(rollout)), p.paint.dim(begun))
}

// facts are what there is to say about a rollout, one in a line.
func (p *rolloutPage) facts(rollout *rolloutv1.Rollout) {
	p.split(rollout)

	if rollout.GetCandidate() != "" {
		p.fact("plan", planText(rollout), nil)
		p.fact("gate", gateText(rollout), nil)
	}

	p.fact("why", rollout.GetReason(), nil)
	p.fact("waiting", withPrefix("for ", rollout.GetWaitingFor()), p.paint.ask)

	if rollout.GetUndoUntil() != nil {
		p.fact("undo", fmt.Sprintf("until %s: `serin canary undo %s` returns to %s",
			clock(rollout.GetUndoUntil()), rollout.GetAgent(), rollout.GetUndoRevision()), nil)
	}

	if rollout.GetCandidate() == "" && rollout.GetPhase() != rolloutv1.Phase_PHASE_SUCCEEDED && len(rollout.GetRejected()) > 0 {
		p.fact("rejected", fmt.Sprintf("%s; `serin canary retry %s` tries again",
			strings.Join(rollout.GetRejected(), ", "), rollout.GetAgent()), nil)
	}

	for _, problem := range rollout.GetProblems() {
		p.fact("problem", problem, p.paint.bad)
	}
}

func (p *rolloutPage) fact(name, text string, colour func(string) string) {
	if text == "" {
		return
	}

	text = oneLine(text)
	if colour != nil {
		text = colour(text)
	}

	fmt.Fprintf(p.out, "  %s %s\n", p.paint.dim(fmt.Sprintf("%-9s", name)), text)
}

func (p *rolloutPage) fileProblems(problems []string) {
	fmt.Fprintln(p.out, p.paint.bad("Edits are not taken while these files are not right:"))

	for _, problem := range problems {
		fmt.Fprintf(p.out, "  %s\n", oneLine(problem))
	}
}

// split is a picture of the weights.
func (p *rolloutPage) split(rollout *rolloutv1.Rollout) {
	if rollout.GetCandidate() == "" {
		return
	}

	part := int(rollout.GetWeight()) * splitWidth / 100
	if part == 0 && rollout.GetWeight() > 0 {
		part = 1
	}

	picture := strings.Repeat("█", splitWidth-part) + p.paint.ask(strings.Repeat("░", part))
	fmt.Fprintf(p.out, "  %s %s  %d%% stable, %d%% candidate%s\n", p.paint.dim(fmt.Sprintf("%-9s", "split")), picture,
		100-rollout.GetWeight(), rollout.GetWeight(), stillCarried(rollout))
}

// stillCarried says what the mesh carries while that is something else than what was decided.
func stillCarried(rollout *rolloutv1.Rollout) string {
	if rollout.GetAppliedWeight() == rollout.GetWeight() {
		return ""
	}

	return fmt.Sprintf(" (the mesh still carries %d%%)", rollout.GetAppliedWeight())
}

// phase is a phase's colour.
func (p *rolloutPage) phase(phase rolloutv1.Phase) func(string) string {
	switch phase {
	case rolloutv1.Phase_PHASE_SUCCEEDED:
		return p.paint.good
	case rolloutv1.Phase_PHASE_ABORTING, rolloutv1.Phase_PHASE_FAILED:
		return p.paint.bad
	case rolloutv1.Phase_PHASE_PREPARING, rolloutv1.Phase_PHASE_PROGRESSING, rolloutv1.Phase_PHASE_PAUSED,
		rolloutv1.Phase_PHASE_PROMOTING:
		return p.paint.ask
	case rolloutv1.Phase_PHASE_UNSPECIFIED, rolloutv1.Phase_PHASE_IDLE:
	}

	return p.paint.dim
}
