package app

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/types/known/timestamppb"

	rolloutv1 "github.com/serinhq/serin/gen/serin/rollout/v1"
)

const (
	stableJSON    = `{"kind":"Agent","metadata":{"name":"billing"},"spec":{"model":{"name":"default"},"prompt":{"inline":"You bill.\nBe kind.\n"}}}`
	candidateJSON = `{"kind":"Agent","metadata":{"name":"billing"},"spec":{"model":{"name":"small"},"prompt":{"inline":"You bill.\nBe brief.\n"}}}`

	theDiff = `--- billing aaaaaaaaaaaa
+++ billing bbbbbbbbbbbb
@@ -3,8 +3,8 @@
   name: billing
 spec:
   model:
-    name: default
+    name: small
   prompt:
     inline: |
       You bill.
-      Be kind.
+      Be brief.
`
)

// withRevisions knows the revisions of aRollout.
func withRevisions(f *fakeRollouts) *fakeRollouts {
	f.revisions["billing aaaaaaaaaaaa"], f.revisions["billing bbbbbbbbbbbb"] = stableJSON, candidateJSON

	return f
}

func TestCanaryStatus(t *testing.T) {
	gateway := withRevisions(newFakeRollouts(t, aRollout(), anIdleRollout()))
	gateway.problems = []string{"agents/triage.yaml:3:1: spec.modle: unknown field"}

	detail := `billing  progressing: 25% to bbbbbbbbbbbb, 75% to aaaaaaaaaaaa  attempt 2, since 12:30:00
  split     ██████████████████████████████░░░░░░░░░░  75% stable, 25% candidate (the mesh still carries 5%)
  plan      5% [25%] 100%, each at least 10m, by itself
  gate      thresholds
  why       the gate let it pass
  waiting   for 12 more turns
  problem   a process is not there

                    stable         candidate
                    aaaaaaaaaaaa   bbbbbbbbbbbb
  weight            75%            25%
  processes ready   2 of 2         0 of 1
  pinned to it      41             0
  running now       3              0
  conversations     120            0
  turns             400            0
  failed            0.5% (2)       -
  p50               1.23ms         -
  p95               45.7ms         -
  p99               1.23s          -
  tokens per turn   812            -
  cost per turn     $0.0012        -
  liked, disliked   3, 0           0, 0

` + theDiff

	code, stdout, stderr := run(t, "canary", "status", "billing", "--url", gateway.URL)
	if diff := cmp.Diff(detail, stdout); code != 0 || diff != "" {
		t.Errorf("exit %d, %s\n%s", code, stderr, diff)
	}

	code, stdout, stderr = run(t, "canary", "status", "--url", gateway.URL)
	want := `AGENT     PHASE         STABLE         CANDIDATE      WEIGHT   STEP
billing   progressing   aaaaaaaaaaaa   bbbbbbbbbbbb   25%      2 of 3
triage    idle          cccccccccccc   -              -        -

` + detail + `
Edits are not taken while these files are not right:
  agents/triage.yaml:3:1: spec.modle: unknown field
`

	if diff := cmp.Diff(want, stdout); code != 0 || diff != "" {
		t.Errorf("exit %d, %s\n%s", code, stderr, diff)
	}

	code, stdout, _ = run(t, "canary", "status", "billing", "-o", "json", "--url", gateway.URL)
	if code != 0 || !strings.HasPrefix(stdout, "{\n  \"rollouts\": [\n") || !strings.Contains(stdout, `"candidate": "bbbbbbbbbbbb"`) {
		t.Errorf("exit %d\n%s", code, stdout)
	}

	if code, _, stderr = run(t, "canary", "status", "nobody", "--url", gateway.URL); code != 2 || !strings.Contains(stderr, "no agent nobody") {
		t.Errorf("exit %d, %s", code, stderr)
	}
}

// After a rollout it says how to try again, or how to go back.
func TestCanaryStatusAfterwards(t *testing.T) {
	failed, succeeded := anIdleRollout(), anIdleRollout()
	failed.Phase, failed.Rejected = rolloutv1.Phase_PHASE_FAILED, []string{"bbbbbbbbbbbb"}
	succeeded.Agent, succeeded.Phase, succeeded.UndoRevision = "billing", rolloutv1.Phase_PHASE_SUCCEEDED, "bbbbbbbbbbbb"
	succeeded.UndoUntil = timestamppb.New(time.Date(2026, 3, 1, 12, 45, 0, 0, time.Local))
	gateway := newFakeRollouts(t, failed, succeeded)

	if _, stdout, _ := run(t, "canary", "status", "triage", "--url", gateway.URL); !strings.Contains(stdout, "rejected  bbbbbbbbbbbb; `serin canary retry triage` tries again\n") {
		t.Error(stdout)
	}

	if _, stdout, _ := run(t, "canary", "status", "billing", "--url", gateway.URL); !strings.Contains(stdout, "undo      until 12:45:00: `serin canary undo billing` returns to bbbbbbbbbbbb\n") {
		t.Error(stdout)
	}
}

// Colours are for terminals, and never count as width.
func TestCanaryStatusOnATerminal(t *testing.T) {
	gateway := withRevisions(newFakeRollouts(t, aRollout()))
	term := newTerminal(t, strings.NewReader(""), true)
	term.env.Getenv = func(string) string { return "" }

	if code := term.run("canary", "status", "billing", "--url", gateway.URL); code != 0 {
		t.Fatalf("exit %d, %s", code, term.err)
	}

	for _, want := range []string{"\x1b[31m-      Be kind.\x1b[0m\n", "\x1b[32m+      Be brief.\x1b[0m\n", "\x1b[31m0.5% (2)\x1b[0m       -\n"} {
		if !strings.Contains(term.out.String(), want) {
			t.Errorf("no %q in\n%s", want, term.out)
		}
	}
}

// Every command asks for what it says, and shows the rollout after it.
func TestCanaryCommands(t *testing.T) {
	for line, want := range map[string]string{
		"set billing 30":                `billing:setWeight {"weight":30}`,
		"set billing 0%":                `billing:setWeight {}`,
		"pause billing":                 `billing:pause {}`,
		"resume billing":                `billing:resume {}`,
		"promote billing":               `billing:promote {}`,
		"promote billing --full":        `billing:promote {"full":true}`,
		"abort billing":                 `billing:abort {}`,
		"abort billing --fence":         `billing:abort {"fence":true}`,
		"abort billing --reason slow":   `billing:abort {"reason":"slow"}`,
		"undo billing":                  `billing:undo {}`,
		"retry billing":                 `billing:retry {}`,
		"retry billing -o yaml":         `billing:retry {}`,
		"retry billing --output json":   `billing:retry {}`,
		"promote --full=false billing ": `billing:promote {}`,
	} {
		t.Run(line, func(t *testing.T) {
			gateway := newFakeRollouts(t, aRollout())
			args := append([]string{"canary"}, append(strings.Fields(line), "--url", gateway.URL)...)

			code, stdout, stderr := run(t, args...)
			if code != 0 || gateway.seen() != want || !strings.Contains(stdout, "bbbbbbbbbbbb") {
				t.Errorf("exit %d, %s; asked %s\n%s", code, stderr, gateway.seen(), stdout)
			}

			gateway.refuse = "NOTHING_TO_DO"

			code, stdout, stderr = run(t, args...)
			if code != 1 || stdout != "" || stderr != "serin: there is nothing to do; do something else\n" {
				t.Errorf("refused: exit %d, %s\n%s", code, stderr, stdout)
			}
		})
	}
}

const declaredYAML = `apiVersion: serin.dev/v1alpha1
kind: Agent
metadata: {name: billing}
spec:
  description: Bills.
  prompt: {file: prompt.md}
  handoffs: [{agent: scheduling}, {agent: triage, when: Someone is lost.}]
  tools: [{name: shop_refund}]
`

const schedulingJSON = `{"apiVersion":"serin.dev/v1alpha1","kind":"Agent","metadata":{"name":"scheduling"},` +
	`"spec":{"description":"Makes appointments.","model":{"name":"default"},"prompt":{"inline":"p"}}}`

func writeDeclared(t *testing.T, yaml string) string {
	t.Helper()

	dir := t.TempDir()
	for name, text := range map[string]string{"billing.yaml": yaml, "prompt.md": "You bill."} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}

	return filepath.Join(dir, "billing.yaml")
}

// A file by itself has the same revision as among the others: what it takes from other agents is filled in.
func TestCanaryStart(t *testing.T) {
	gateway := newFakeRollouts(t, aRollout())
	gateway.revisions["scheduling stable"] = schedulingJSON
	file := writeDeclared(t, declaredYAML)

	code, stdout, stderr := run(t, "canary", "start", "billing", "-f", file, "--steps", "10,50%,100", "--pause", "2m", "--auto", "--url", gateway.URL)
	if code != 0 || !strings.HasPrefix(stdout, "billing  progressing: ") {
		t.Fatalf("exit %d, %s\n%s", code, stderr, stdout)
	}

	for _, want := range []string{
		`billing:start {"declaration":"`, `You bill.`, `{\"agent\":\"scheduling\",`, `\"when\":\"Makesappointments.\"`, `\"when\":\"Someoneislost.\"`,
		`"plan":{"steps":[10,50,100],"pause":"120s","automatic":true}`,
	} {
		if !strings.Contains(strings.ReplaceAll(gateway.seen(), " ", ""), strings.ReplaceAll(want, " ", "")) {
			t.Errorf("no %s in %s", want, gateway.seen())
		}
	}

	code, _, stderr = run(t, "canary", "start", "billing", "-f", file, "--adopt", "--url", gateway.URL)
	if code != 2 || !strings.Contains(stderr, `by the annotation serin.dev/adopt: "true"`) {
		t.Errorf("exit %d, %s", code, stderr)
	}

	gateway.refuse = "INVALID"

	code, _, stderr = run(t, "canary", "start", "billing", "-f", file, "--url", gateway.URL)
	if want := file + `: spec.handoffs[0].agent: no agent "x"` + "\n"; code != 2 || stderr != want {
		t.Errorf("exit %d, %s", code, stderr)
	}
}

func TestCanaryHistory(t *testing.T) {
	gateway := newFakeRollouts(t, aRollout())

	code, stdout, stderr := run(t, "canary", "history", "billing", "--url", gateway.URL)
	want := "TIME   WHO        WHAT    ATTEMPT   BEFORE                     AFTER          WHY\n" +
		strings.Repeat("-      acme/ann   abort   2         progressing aaa + 5% bbb   aborting aaa   it is bad\n", 2)

	if diff := cmp.Diff(want, stdout); code != 0 || diff != "" {
		t.Errorf("exit %d, %s\n%s", code, stderr, diff)
	}

	code, stdout, _ = run(t, "canary", "history", "billing", "--limit", "1", "-o", "json", "--url", gateway.URL)
	if code != 0 || strings.Count(stdout, `"actor"`) != 1 || !strings.Contains(stdout, `"nextPageToken": "2"`) {
		t.Errorf("exit %d\n%s", code, stdout)
	}
}

func TestCanaryDiff(t *testing.T) {
	gateway := withRevisions(newFakeRollouts(t, aRollout(), anIdleRollout()))

	for _, args := range [][]string{{"billing"}, {"billing", "aaaaaaaaaaaa", "bbbbbbbbbbbb"}} {
		code, stdout, stderr := run(t, append([]string{"canary", "diff", "--url", gateway.URL}, args...)...)
		if diff := cmp.Diff(theDiff, stdout); code != 0 || diff != "" {
			t.Errorf("%v: exit %d, %s\n%s", args, code, stderr, diff)
		}
	}

	code, stdout, _ := run(t, "canary", "diff", "billing", "aaaaaaaaaaaa", "aaaaaaaaaaaa", "--url", gateway.URL)
	if code != 0 || stdout != "aaaaaaaaaaaa and aaaaaaaaaaaa are the same\n" {
		t.Errorf("the same: exit %d\n%s", code, stdout)
	}

	code, stdout, _ = run(t, "canary", "diff", "billing", "-o", "yaml", "--url", gateway.URL)
	if code != 0 || !strings.HasPrefix(stdout, "agent: billing\nfrom: aaaaaaaaaaaa\nto: bbbbbbbbbbbb\ndiff: |\n  --- billing") {
		t.Errorf("yaml: exit %d\n%s", code, stdout)
	}

	if code, _, stderr := run(t, "canary", "diff", "triage", "--url", gateway.URL); code != 1 || !strings.Contains(stderr, "triage has no candidate to compare with cccccccccccc") {
		t.Errorf("nothing to compare: exit %d, %s", code, stderr)
	}

	if code, _, stderr := run(t, "canary", "diff", "billing", "nope", "--url", gateway.URL); code != 2 || !strings.Contains(stderr, "no revision billing nope") {
		t.Errorf("unknown: exit %d, %s", code, stderr)
	}
}

// Without names it compares what a person means.
func TestCompared(t *testing.T) {
	rejected := &rolloutv1.Revision{Revision: "bad", Role: "rejected"}

	for name, c := range map[string]struct {
		rollout *rolloutv1.Rollout
		want    []string
	}{
		"a candidate": {&rolloutv1.Rollout{Stable: "s", Candidate: "c", Revisions: []*rolloutv1.Revision{rejected}}, []string{"s", "c"}},
		"an abort":    {&rolloutv1.Rollout{Stable: "s", UndoRevision: "old", Revisions: []*rolloutv1.Revision{rejected}}, []string{"s", "bad"}},
		"a promotion": {&rolloutv1.Rollout{Stable: "s", UndoRevision: "old"}, []string{"old", "s"}},
	} {
		if got, err := compared(c.rollout); err != nil || !cmp.Equal(got, c.want) {
			t.Errorf("%s: %v %v, want %v", name, got, err, c.want)
		}
	}
}

// A watch appends lines where nobody looks: each change, but numbers only now and then; over cuts, until it is told to end.
func TestCanaryWatchLines(t *testing.T) {
	numbers, promoted := aRollout(), aRollout()
	numbers.Revisions[0].Numbers.Turns = 500
	promoted.Weight, promoted.Reason, promoted.Problems = 100, "promoted by hand", nil

	gateway := newFakeRollouts(t)
	gateway.streams = [][]*rolloutv1.WatchRolloutsResponse{
		{changeTo(aRollout(), anIdleRollout()), changeTo(numbers)},
		{changeTo(numbers, anIdleRollout()), {Rollouts: []*rolloutv1.Rollout{promoted}, Problems: []string{"a.yaml: bad"}}, {Gone: []string{"triage"}}},
	}

	term := newTerminal(t, strings.NewReader(""), false)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan int)

	go func() { ended <- Execute(ctx, term.env, []string{"canary", "status", "-w", "--url", gateway.URL}) }()

	term.out.wait(t, "with them any more")
	cancel()

	if code := <-ended; code != 0 {
		t.Errorf("exit %d, %s", code, term.err)
	}

	lines := []string{}
	for line := range strings.Lines(term.out.String()) {
		lines = append(lines, line[len("12:30:00  "):])
	}

	const told = "stable aaaaaaaaaaaa: 400 turns, 0.5% failed, p99 1.23s\n"

	if diff := cmp.Diff([]string{
		"billing  progressing: 25% to bbbbbbbbbbbb, 75% to aaaaaaaaaaaa; the gate let it pass; a process is not there; " + told,
		"triage  idle: cccccccccccc is stable; it is the first\n",
		"billing  progressing: 100% to bbbbbbbbbbbb, 0% to aaaaaaaaaaaa; promoted by hand; " + told,
		"files  a.yaml: bad\n",
		"triage  is not there any more\n",
		"files  nothing is wrong with them any more\n",
	}, lines); diff != "" {
		t.Error(diff)
	}
}

// Numbers come every while, even if nothing else changes; the last ones come, too.
func TestCanaryLinesTellNumbers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &strings.Builder{}
		view := newLineView(out)

		for turns := range int64(40) {
			rollout := aRollout()
			rollout.Revisions[0].Numbers.Turns = 1000 + turns/2 // half of the looks see nothing new

			if err := view.show(t.Context(), canaryNow{change: changeTo(rollout)}); err != nil {
				t.Fatal(err)
			}

			time.Sleep(time.Second)
		}

		time.Sleep(time.Minute)
		view.mu.Lock()
		defer view.mu.Unlock()

		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		if len(lines) != 5 || !strings.Contains(lines[4], "1019 turns") {
			t.Errorf("%d lines, want one every 10 s\n%s", len(lines), out)
		}
	})
}

// On a terminal a watch draws over what is there.
func TestCanaryWatchScreen(t *testing.T) {
	gateway := withRevisions(newFakeRollouts(t))
	gateway.streams = [][]*rolloutv1.WatchRolloutsResponse{{changeTo(aRollout()), changeTo(anIdleRollout())}}

	term := newTerminal(t, strings.NewReader(""), true)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan int)

	go func() { ended <- Execute(ctx, term.env, []string{"canary", "status", "--watch", "--url", gateway.URL}) }()

	term.out.wait(t, "cccccccccccc")
	cancel()

	if code := <-ended; code != 0 {
		t.Errorf("exit %d, %s", code, term.err)
	}

	frames := strings.Split(term.out.String(), toTheTop)
	if len(frames) != 3 || frames[0] != clearScreen {
		t.Fatalf("frames: %q", frames)
	}

	for _, frame := range frames[1:] {
		if !strings.HasPrefix(frame, "AGENT") || !strings.HasSuffix(frame, clearLine+"\n"+clearBelow) || !strings.Contains(frame, "+      Be brief."+clearLine+"\n") {
			t.Errorf("frame %q", frame)
		}
	}
}

// What a window has no room for would push the rest out at its top.
func TestCanaryWatchScreenFitsTheWindow(t *testing.T) {
	height := 0
	view := &screenView{height: func() int { return height }}
	text := "1\n2\n3\n4\n5\n"

	for lines, want := range map[int]string{
		0: text, 6: text, 7: text, 5: "1\n2\n3\n(2 more lines; they need a higher window)\n", 3: "1\n(4 more lines; they need a higher window)\n",
	} {
		height = lines
		if got := view.fit(text); got != want {
			t.Errorf("%d lines: %q, want %q", lines, got, want)
		}
	}
}

// With -w a start ends when its rollout does, and its exit code says how.
func TestCanaryStartWatches(t *testing.T) {
	begun, promoted, aborted, superseded, undone := aRollout(), aRollout(), aRollout(), aRollout(), aRollout()
	begun.Weight = 5
	promoted.Phase, promoted.Stable, promoted.Candidate = rolloutv1.Phase_PHASE_SUCCEEDED, begun.GetCandidate(), ""
	aborted.Phase, aborted.Candidate, aborted.Reason = rolloutv1.Phase_PHASE_FAILED, "", "it failed"
	superseded.Attempt, superseded.Candidate = 3, "dddddddddddd"
	undone.Phase, undone.Candidate = rolloutv1.Phase_PHASE_ABORTING, ""
	withdrawn := aRollout()
	withdrawn.Phase, withdrawn.Candidate, withdrawn.Reason = rolloutv1.Phase_PHASE_IDLE, "", "the file is as it was"

	for name, c := range map[string]struct {
		last *rolloutv1.Rollout
		code int
		want string
	}{
		"promoted":   {promoted, 0, ""},
		"aborted":    {aborted, 1, "serin: billing: the candidate was not promoted: it failed\n"},
		"superseded": {superseded, 1, "serin: billing: the candidate was not promoted: dddddddddddd took its place\n"},
		"taken back": {withdrawn, 1, "serin: billing: the candidate was not promoted: the file is as it was\n"},
	} {
		t.Run(name, func(t *testing.T) {
			gateway := newFakeRollouts(t, begun)
			gateway.revisions["scheduling stable"] = schedulingJSON
			gateway.streams = [][]*rolloutv1.WatchRolloutsResponse{{changeTo(begun)}, {changeTo(aRollout()), changeTo(undone), changeTo(c.last)}}

			code, stdout, stderr := run(t, "canary", "start", "billing", "-f", writeDeclared(t, declaredYAML), "-w", "--url", gateway.URL)
			if code != c.code || stderr != c.want || !strings.Contains(stdout, "progressing: 5%") {
				t.Errorf("start: exit %d, %s\n%s", code, stderr, stdout)
			}

			code, stdout, _ = run(t, "canary", "retry", "billing", "-w", "-o", "json", "--url", gateway.URL)
			if code != c.code || !strings.HasPrefix(stdout, `{"rollouts":[{"agent":"billing"`) {
				t.Errorf("retry: exit %d\n%s", code, stdout)
			}
		})
	}
}
