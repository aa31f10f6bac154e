package app_test

import (
	"context"
	"errors"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	rolloutv1 "github.com/serinhq/serin/gen/serin/rollout/v1"
	"github.com/serinhq/serin/loadtest"
)

// canary runs the product's own `serin canary` against the platform, and wants an exit code.
func (p *testPlatform) canary(code int, args ...string) (stdout, stderr string) {
	p.t.Helper()

	return p.serin(code, append([]string{"canary"}, args...)...)
}

// serin runs the product's own command line against the platform, and wants an exit code.
func (p *testPlatform) serin(code int, args ...string) (stdout, stderr string) {
	p.t.Helper()

	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()

	command := exec.CommandContext(ctx, binary, append(args, "--url", p.url)...)
	out, complaints := &strings.Builder{}, &strings.Builder{}
	command.Stdout, command.Stderr = out, complaints

	got := 0

	var exit *exec.ExitError
	if err := command.Run(); errors.As(err, &exit) {
		got = exit.ExitCode()
	} else if err != nil {
		p.t.Fatal(err)
	}

	if got != code {
		p.t.Fatalf("serin %s: exit code %d, want %d\n%s%s", strings.Join(args, " "), got, code, out, complaints)
	}

	return out.String(), complaints.String()
}

func wantText(t *testing.T, text string, parts ...string) {
	t.Helper()

	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("no %q in\n%s", part, text)
		}
	}
}

// A person takes one rollout through everything, with nothing but the command line.
func TestCanaryCommandLine(t *testing.T) {
	p := startPlatform(t, raced(t))
	dir := ownFolder(t)
	file := filepath.Join(dir, "scheduling.yaml")
	edit(t, dir, "scheduling.yaml", "offer at most three", "offer at most two")

	stable := p.rollout("scheduling").GetStable()

	out, _ := p.canary(0, "start", "scheduling", "-f", file, "--steps", "40,80")
	candidate := p.rollout("scheduling").GetCandidate()
	wantText(t, out, "scheduling  ", candidate)
	p.awaitRollout("scheduling", "at 40%", carries(candidate, 40))

	conversation := p.newConversation()
	p.send(conversation, listSlots)
	p.awaitRollout("scheduling", "counting", func(found *rolloutv1.Rollout) bool {
		return found.GetRevisions()[0].GetNumbers().GetTurns()+found.GetRevisions()[1].GetNumbers().GetTurns() > 0
	})

	const changed = "\n-      2. List the free slots, then offer at most three, with weekday, date and time.\n" +
		"+      2. List the free slots, then offer at most two, with weekday, date and time.\n"

	out, _ = p.canary(0, "status")
	wantText(t, out, "triage       idle", "scheduling   progressing", "[40%] 80%, each promoted by hand", "60% stable, 40% candidate",
		"waiting   for `serin canary promote scheduling`, which goes on to 80%", "conversations", changed)

	out, _ = p.canary(0, "diff", "scheduling")
	wantText(t, out, "--- scheduling "+stable+"\n+++ scheduling "+candidate+"\n", changed)

	_, complaint := p.canary(2, "set", "scheduling", "101")
	wantText(t, complaint, "from 0 to 100")
	out, _ = p.canary(0, "set", "scheduling", "60")
	wantText(t, out, "paused: 60% to "+candidate, "60% set by hand")
	out, _ = p.canary(0, "resume", "scheduling")
	wantText(t, out, "progressing: 60% to "+candidate, "resumed by hand at 60%")
	p.canary(0, "promote", "scheduling")
	p.awaitRollout("scheduling", "at 80%", carries(candidate, 80))
	p.canary(0, "pause", "scheduling")

	p.canary(0, "abort", "scheduling", "--fence", "--reason", "too few slots")
	p.awaitRollout("scheduling", "aborted", settled(rolloutv1.Phase_PHASE_FAILED, stable))
	out, _ = p.canary(0, "status", "scheduling")
	wantText(t, out, "failed: everything to "+stable, "too few slots", "rejected  "+candidate, "`serin canary retry scheduling` tries again")
	_, complaint = p.canary(1, "promote", "scheduling")
	wantText(t, complaint, "there is no candidate; `serin canary start scheduling -f FILE` brings one")
	_, complaint = p.canary(1, "start", "scheduling", "-f", file)
	wantText(t, complaint, "serin canary retry scheduling")

	p.canary(0, "retry", "scheduling")
	p.awaitRollout("scheduling", "at 40%", carries(candidate, 40))
	p.canary(0, "promote", "scheduling", "--full")
	p.awaitRollout("scheduling", "promoted", settled(rolloutv1.Phase_PHASE_SUCCEEDED, candidate))

	p.canary(0, "undo", "scheduling")
	p.awaitRollout("scheduling", "undone", settled(rolloutv1.Phase_PHASE_FAILED, stable))
	_, complaint = p.canary(1, "undo", "scheduling")
	wantText(t, complaint, "no promotion of scheduling can be undone any more")

	out, _ = p.canary(0, "history", "scheduling")
	for _, what := range []string{"undo", "promote", "retry", "abort", "pause", "resume", "set-weight", "start"} {
		wantText(t, out, "default/local   "+what+" ")
	}

	wantText(t, out, "serin           succeed ", "too few slots")

	_, complaint = p.canary(2, "status", "shedulling")
	wantText(t, complaint, "there are: billing, scheduling, triage")
}

// An automatic start that is watched ends with its rollout, and its exit code says how.
func TestCanaryStartIsWatchedToItsEnd(t *testing.T) {
	underLoad(t)

	p := startPlatform(t)
	dir := ownFolder(t)
	edit(t, dir, "triage.yaml", "inline: |\n", "inline: |\n      @sim fail=0.5\n")

	load, err := loadtest.Start(t.Context(), loadtest.Config{
		URL: p.url, MaxOpen: 4, TurnTimeout: patience, Scenario: loadtest.Scenario{
			Stages: loadtest.Steady(1000, 0).Stages, Turns: 1, Dialogues: []loadtest.Dialogue{{"hello"}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer load.Hangup()

	out, complaint := p.canary(1, "start", "triage", "-f", filepath.Join(dir, "triage.yaml"), "--steps", "50,100", "--auto", "-w")

	wantText(t, out, "triage  progressing: 50% to ", "triage  failed: everything to ")
	wantText(t, complaint, "serin: triage: the candidate was not promoted: ", "turns failed, more than 5%")
}
