package app

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	rolloutv1 "github.com/serinhq/serin/gen/serin/rollout/v1"
)

// numbersEvery is how often a line tells numbers while nothing else changes.
const numbersEvery = 10 * time.Second

// lineView appends a line for each change, for logs and pipes.
type lineView struct {
	out io.Writer
	now func() time.Time

	mu       sync.Mutex
	told     map[string]toldLine
	problems []string
	// held are lines with numbers that were told too short a while ago.
	held map[string]*time.Timer
}

// toldLine is what was last said of an agent.
type toldLine struct {
	state, numbers string
	at             time.Time
}

func newLineView(out io.Writer) *lineView {
	return &lineView{out: out, now: time.Now, told: map[string]toldLine{}, held: map[string]*time.Timer{}}
}

func (v *lineView) show(_ context.Context, now canaryNow) error {
	v.mu.Lock()
	defer v.mu.Unlock()

	for _, rollout := range now.change.GetRollouts() {
		if err := v.tell(rollout); err != nil {
			return err
		}
	}

	for _, agent := range now.change.GetGone() {
		v.unhold(agent)
		delete(v.told, agent)

		if err := v.line(agent, "is not there any more"); err != nil {
			return err
		}
	}

	problems := now.change.GetProblems()
	if slices.Equal(problems, v.problems) {
		return nil
	}

	v.problems = problems
	if len(problems) == 0 {
		return v.line("files", "nothing is wrong with them any more")
	}

	for _, problem := range problems {
		if err := v.line("files", problem); err != nil {
			return err
		}
	}

	return nil
}

// tell says what changed. Only numbers, if they were told a short while ago, it says a while later.
func (v *lineView) tell(rollout *rolloutv1.Rollout) error {
	agent := rollout.GetAgent()
	line := toldLine{state: stateLine(rollout), numbers: numbersLine(rollout), at: v.now()}
	before := v.told[agent]

	v.unhold(agent)

	if line.state == before.state && line.numbers == before.numbers {
		return nil
	}

	if wait := numbersEvery - line.at.Sub(before.at); line.state == before.state && wait > 0 {
		v.held[agent] = time.AfterFunc(wait, func() { v.release(rollout) })

		return nil
	}

	v.told[agent] = line

	return v.line(agent, line.state+line.numbers)
}

// unhold lets what was held back of an agent not be told any more.
func (v *lineView) unhold(agent string) {
	if held := v.held[agent]; held != nil {
		held.Stop()
		delete(v.held, agent)
	}
}

// release tells what was held back.
func (v *lineView) release(rollout *rolloutv1.Rollout) {
	v.mu.Lock()
	defer v.mu.Unlock()

	_ = v.tell(rollout) // where nothing can be written, the next change says so
}

func (v *lineView) line(about, text string) error {
	_, err := fmt.Fprintf(v.out, "%s  %s  %s\n", v.now().Format(time.TimeOnly), about, oneLine(text))
	if err != nil {
		return fmt.Errorf("write output: %w", err)
	}

	return nil
}

// stateLine is where a rollout is.
func stateLine(rollout *rolloutv1.Rollout) string {
	return strings.Join(slices.Concat([]string{where(rollout), rollout.GetReason()}, rollout.GetProblems()), "; ")
}

// numbersLine is what the stable revision and the candidate came to.
func numbersLine(rollout *rolloutv1.Rollout) string {
	text := &strings.Builder{}

	for _, revision := range rollout.GetRevisions() {
		if numbers := revision.GetNumbers(); numbers.GetTurns() > 0 {
			fmt.Fprintf(text, "; %s %s: %d turns, %s failed, p99 %s", revision.GetRole(), revision.GetRevision(),
				numbers.GetTurns(), failedShare(numbers), latency(numbers, numbers.GetP99()))
		}
	}

	return text.String()
}
