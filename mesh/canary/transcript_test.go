package canary_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/diff"

	"github.com/serinhq/serin/mesh/canary"
)

var update = flag.Bool("update", false, "rewrite the transcripts under testdata with what comes out")

// TestTranscripts plays the files under testdata: they say what happens, and what the engine makes of it. See
// testdata/README.md for how to read them.
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no transcripts:", err)
	}

	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			written, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}

			played := play(t, string(written))
			if played == string(written) {
				return
			}

			if *update {
				if err := os.WriteFile(file, []byte(played), 0o600); err != nil {
					t.Fatal(err)
				}

				return
			}

			t.Errorf("%s plays differently now (-update rewrites it):\n%s", file, diff.Diff("written", written, "played", []byte(played)))
		})
	}
}

// play runs every line that is not indented, and puts what comes out below it, indented.
func play(t *testing.T, script string) string {
	t.Helper()

	var out strings.Builder

	w := newWorld()

	for line := range strings.Lines(script) {
		if strings.HasPrefix(line, "    ") {
			continue
		}

		out.WriteString(line)

		if text := strings.TrimSpace(line); text != "" && !strings.HasPrefix(text, "#") {
			shown, err := w.line(text)
			if err != nil {
				t.Fatalf("%s: %v", text, err)
			}

			for _, text := range shown {
				out.WriteString("    " + text + "\n")
			}
		}
	}

	return out.String()
}

// line plays one line and returns what to show.
func (w *world) line(text string) ([]string, error) {
	if is, err := w.fact(text); is || err != nil {
		return nil, err
	}

	words := strings.Fields(text)

	switch words[0] {
	case "wait":
		passed, err := time.ParseDuration(words[1])
		if err != nil {
			return nil, fmt.Errorf("wait: %w", err)
		}

		w.now = w.now.Add(passed - time.Second)

		return w.decide(nil), nil
	case "observe":
		return w.decide(nil), nil
	case "restart":
		return nil, w.restart()
	case "crash": // between writing to the mesh and saving
		w.state = w.before

		return nil, w.restart()
	case "other":
		return nil, w.other(words[1:])
	}

	command, err := parse(words)
	if err != nil {
		return nil, err
	}

	return w.decide(command), nil
}

// other has another one decide on the state before the last decision, and the mesh take that.
func (w *world) other(words []string) error {
	command, err := parse(words)
	if err != nil {
		return err
	}

	seen := w.observe()
	seen.Now = w.before.Since.Add(time.Second) // it was a little earlier

	state, _, err := canary.Step(w.before, seen, command)
	want := canary.Want(state)
	w.mesh, w.routed = &want.Intent, want.Live

	return err
}

// restart saves the state and loads it again.
func (w *world) restart() error {
	saved, err := json.Marshal(w.state)
	if err != nil {
		return fmt.Errorf("save: %w", err)
	}

	w.state = canary.State{}

	if err := json.Unmarshal(saved, &w.state); err != nil {
		return fmt.Errorf("load: %w", err)
	}

	return nil
}

// decide steps, and says what is different then.
func (w *world) decide(command *canary.Command) []string {
	before := w.show()
	events, err := w.step(command)

	lines := []string{}

	if refusal, ok := err.(*canary.Refusal); ok { //nolint:errorlint // it is returned as it is
		lines = append(lines, "refused, "+refusal.Reason+": "+refusal.Message)
	}

	for _, event := range events {
		lines = append(lines, event.Action+": "+event.Reason)
	}

	if after := w.show(); !slices.Equal(before, after) {
		lines = append(lines, after...)
	} else if len(lines) == 0 {
		lines = append(lines, "nothing changes")
	}

	w.carryOut()

	return lines
}

// show says what the state is, and what it wants.
func (w *world) show() []string {
	s, want := w.state, canary.Want(w.state)

	head := fmt.Sprintf("%s: stable %s", s.Phase, s.Stable)
	if s.Candidate != "" {
		head += fmt.Sprintf(", candidate %s at %d%%", s.Candidate, s.Weight)
	}

	lines := []string{fmt.Sprintf("%s (attempt %d, decision %d)", head, s.Attempt, s.Seq)}

	add := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }

	if waits := s.WaitingFor(w.observe()); waits != "" {
		add("waits for %s", waits)
	}

	if s.Previous != "" {
		add("an undo returns to %s", s.Previous)
	}

	if len(s.Rejected) > 0 {
		add("rejected: %s", strings.Join(slices.Sorted(maps.Keys(s.Rejected)), " "))
	}

	for _, withdrawal := range want.Withdrawals {
		add("the store shall %s", inWords(withdrawal))
	}

	for _, from := range slices.Sorted(maps.Keys(want.Redirects)) {
		add("pins of %s lead to %s", from, want.Redirects[from])
	}

	if len(want.Live) > 1 {
		add("routed: %s", strings.Join(want.Live, " "))
	}

	if !slices.Equal(want.Workloads, want.Live) {
		add("running: %s", strings.Join(want.Workloads, " "))
	}

	return lines
}

func inWords(w canary.Withdrawal) string {
	text := fmt.Sprintf("withdraw %s for %s (attempt %d, %s", w.Revision, w.Replacement, w.Attempt, w.Cause)
	if w.Revision == w.Replacement {
		text = fmt.Sprintf("reinstate %s (attempt %d", w.Revision, w.Attempt)
	}

	if w.Fence {
		text += ", fenced"
	}

	return text + ")"
}

// parse reads a command: "start b steps=5,100 pause=10m auto", "set-weight 30", "promote full", "abort fence".
func parse(words []string) (*canary.Command, error) {
	command := &canary.Command{Kind: canary.Kind(words[0]), Plan: usual()}

	for _, word := range words[1:] {
		if err := option(command, word); err != nil {
			return nil, fmt.Errorf("%s: %w", word, err)
		}
	}

	return command, nil
}

func option(command *canary.Command, word string) error {
	var err error

	name, value, _ := strings.Cut(word, "=")
	number, notNumber := strconv.Atoi(word)

	switch {
	case notNumber == nil:
		command.Weight = number
	case word == "full":
		command.Full = true
	case word == "fence":
		command.Fence = true
	case word == "slots":
		command.Plan.Slots = true
	case word == "auto":
		command.Plan.Automatic = true
	case name == "steps":
		command.Plan.Steps, err = percentages(value)
	case name == "pause":
		command.Plan.Pause, err = time.ParseDuration(value)
	case name == "undo":
		command.Plan.UndoWindow, err = time.ParseDuration(value)
	case name == "sla":
		command.Plan.SLA, err = time.ParseDuration(value)
	case name == "because":
		command.Reason = strings.ReplaceAll(value, "-", " ")
	default:
		command.Revision = word
	}

	return err
}

func percentages(text string) ([]int, error) {
	var steps []int

	for word := range strings.SplitSeq(text, ",") {
		step, err := strconv.Atoi(word)
		if err != nil {
			return nil, fmt.Errorf("steps: %w", err)
		}

		steps = append(steps, step)
	}

	return steps, nil
}

// usual is the plan that agents have by default.
func usual() canary.Plan {
	return canary.Plan{
		Steps: []int{5, 25, 50, 100}, Pause: 10 * time.Minute, SLA: 30 * time.Second, UndoWindow: 15 * time.Minute,
		RetireIdle: 24 * time.Hour, RetireAfter: 7 * 24 * time.Hour,
	}
}
