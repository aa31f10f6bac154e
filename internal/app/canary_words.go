package app

import (
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	rolloutv1 "github.com/serinhq/serin/gen/serin/rollout/v1"
)

// phaseName is a phase as people say it.
func phaseName(phase rolloutv1.Phase) string {
	return strings.ToLower(strings.TrimPrefix(phase.String(), "PHASE_"))
}

// where says where a rollout is: its phase, and who gets what.
func where(rollout *rolloutv1.Rollout) string {
	name, stable, candidate := phaseName(rollout.GetPhase()), rollout.GetStable(), rollout.GetCandidate()

	switch rollout.GetPhase() {
	case rolloutv1.Phase_PHASE_PREPARING:
		return fmt.Sprintf("%s %s beside %s", name, candidate, stable)
	case rolloutv1.Phase_PHASE_PROGRESSING, rolloutv1.Phase_PHASE_PAUSED:
		return fmt.Sprintf("%s: %d%% to %s, %d%% to %s", name, rollout.GetWeight(), candidate, 100-rollout.GetWeight(), stable)
	case rolloutv1.Phase_PHASE_PROMOTING:
		return fmt.Sprintf("%s %s", name, candidate)
	case rolloutv1.Phase_PHASE_ABORTING, rolloutv1.Phase_PHASE_FAILED:
		return fmt.Sprintf("%s: everything to %s", name, stable)
	case rolloutv1.Phase_PHASE_UNSPECIFIED, rolloutv1.Phase_PHASE_IDLE, rolloutv1.Phase_PHASE_SUCCEEDED:
	}

	return fmt.Sprintf("%s: %s is stable", name, stable)
}

// planText is the plan's steps, with the present one marked.
func planText(rollout *rolloutv1.Rollout) string {
	steps := make([]string, len(rollout.GetPlan().GetSteps()))

	for i, step := range rollout.GetPlan().GetSteps() {
		steps[i] = fmt.Sprintf("%d%%", step)
		if i+1 == int(rollout.GetStep()) {
			steps[i] = "[" + steps[i] + "]"
		}
	}

	text := strings.Join(steps, " ")
	if rollout.GetPlan().GetAutomatic() {
		return fmt.Sprintf("%s, each at least %s, by itself", text, briefly(rollout.GetPlan().GetPause().AsDuration()))
	}

	return text + ", each promoted by hand"
}

// gateText says who judges the candidate.
func gateText(rollout *rolloutv1.Rollout) string {
	if rollout.GetPlan().GetAutomatic() {
		return rollout.GetGate()
	}

	return "a person; by itself it only aborts a candidate without a ready process"
}

func weightText(rollout *rolloutv1.Rollout) string {
	if rollout.GetCandidate() == "" {
		return "-"
	}

	return fmt.Sprintf("%d%%", rollout.GetWeight())
}

func stepText(rollout *rolloutv1.Rollout) string {
	if rollout.GetCandidate() == "" {
		return "-"
	}

	return fmt.Sprintf("%d of %d", rollout.GetStep(), len(rollout.GetPlan().GetSteps()))
}

func withPrefix(prefix, text string) string {
	if text == "" {
		return ""
	}

	return prefix + text
}

func clock(at *timestamppb.Timestamp) string { return localTime(at, time.TimeOnly) }

// briefly is a time without the units that are 0: 10m instead of 10m0s.
func briefly(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}

	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}

	return text
}
