package canary_test

import (
	"fmt"
	"testing"

	"github.com/serinhq/serin/mesh/canary"
)

// TestMemoryIsBounded aborts more revisions than are remembered: the newest are.
func TestMemoryIsBounded(t *testing.T) {
	w := newWorld()
	do := func(kind canary.Kind, revision string) {
		t.Helper()

		if _, err := w.step(&canary.Command{Kind: kind, Revision: revision, Plan: usual()}); err != nil {
			t.Fatal(err)
		}

		w.carryOut()
	}

	do(canary.Declare, "stable")

	for n := range 120 {
		revision := fmt.Sprintf("r%03d", n)
		do(canary.Start, revision)

		if n%2 == 0 {
			do(canary.Abort, "")
		} else {
			do(canary.Supersede, "another")
		}
	}

	if got := len(w.state.Rejected); got != 50 {
		t.Errorf("%d revisions are remembered as rejected", got)
	}

	if got := len(w.state.Withdrawn); got < 50 || got > 100 {
		t.Errorf("%d revisions are remembered as withdrawn", got)
	}

	for n := 20; n < 120; n += 2 {
		revision := fmt.Sprintf("r%03d", n)
		if w.state.Rejected[revision] == 0 || w.state.Withdrawn[revision] == 0 {
			t.Errorf("%s is forgotten: rejected in attempt %d, withdrawn in %d", revision, w.state.Rejected[revision], w.state.Withdrawn[revision])
		}
	}
}

// TestEventsSayWhatTheyChanged: what a command does is told apart from what follows by itself.
func TestEventsSayWhatTheyChanged(t *testing.T) {
	w := newWorld()
	w.ready["b"] = canary.Readiness{Ready: 1}

	if _, err := w.step(&canary.Command{Kind: canary.Declare, Revision: "a", Plan: usual()}); err != nil {
		t.Fatal(err)
	}

	events, err := w.step(&canary.Command{Kind: canary.Start, Revision: "b", Plan: usual()})
	if err != nil || len(events) != 2 {
		t.Fatalf("got %+v, %v", events, err)
	}

	idle := canary.Place{Phase: canary.Idle, Stable: "a"}
	preparing := canary.Place{Attempt: 1, Phase: canary.Preparing, Stable: "a", Candidate: "b"}
	progressing := canary.Place{Attempt: 1, Phase: canary.Progressing, Stable: "a", Candidate: "b", Weight: 5}

	if start := events[0]; start.Action != "start" || !start.Commanded || start.Before != idle || start.After != preparing {
		t.Errorf("first came %+v", start)
	}

	if step := events[1]; step.Action != "step" || step.Commanded || step.Before != preparing || step.After != progressing {
		t.Errorf("then came %+v", step)
	}
}
