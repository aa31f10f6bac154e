package supervise_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/serinhq/serin/internal/supervise"
)

func TestAddsAndRemovesWhileItRuns(t *testing.T) {
	dir := t.TempDir()
	first, second := process(t, dir, "first", "polite"), process(t, dir, "second", "polite")
	first.Ready, second.Ready = isUp(dir, "first"), isUp(dir, "second")

	supervisor := supervise.New(supervise.Config{})
	if err := supervisor.Add(second); !errors.Is(err, supervise.ErrNotRunning) {
		t.Errorf("before Run, Add says %v", err)
	}

	supervisor, stop := run(t, supervise.Config{}, first)
	waitReady(t, supervisor)

	if err := supervisor.Add(second); err != nil {
		t.Fatal(err)
	}

	eventually(t, "the second is ready", func() bool {
		statuses := supervisor.Statuses()

		return len(statuses) == 2 && statuses[1].State == supervise.Ready
	})

	if err := supervisor.Add(second); err == nil {
		t.Error("a name was taken twice")
	}

	supervisor.Remove("first")
	supervisor.Remove("first")

	if statuses := supervisor.Statuses(); len(statuses) != 1 || statuses[0].Name != "second" {
		t.Errorf("after the first was removed there is %v", statuses)
	}

	if got := notes(dir); !strings.Contains(got, "stopped first") || strings.Contains(got, "stopped second") {
		t.Errorf("removal stopped the wrong one:\n%s", got)
	}

	if err := stop(); err != nil {
		t.Error(err)
	}

	if got := notes(dir); !strings.Contains(got, "stopped second") {
		t.Errorf("what was added is not stopped:\n%s", got)
	}
}

func TestRestartsOnRequest(t *testing.T) {
	dir := t.TempDir()
	one := process(t, dir, "one", "polite")
	one.Ready = isUp(dir, "one")
	supervisor, _ := run(t, supervise.Config{MinBackoff: time.Hour}, one)
	waitReady(t, supervisor)

	before := only(supervisor).PID
	supervisor.Restart("one")
	supervisor.Restart("nobody")

	eventually(t, "another process is ready", func() bool {
		now := only(supervisor)

		return now.State == supervise.Ready && now.PID != before
	})

	if now := only(supervisor); now.Restarts != 0 || !strings.Contains(notes(dir), "stopped one") {
		t.Errorf("after a restart on request: %+v\n%s", now, notes(dir))
	}
}

func TestLateMisconfigurationEndsNothingElse(t *testing.T) {
	dir := t.TempDir()
	supervisor, stop := run(t, supervise.Config{}, process(t, dir, "fine", "polite"))
	waitReady(t, supervisor)

	bad := process(t, dir, "bad", "misconfigured")
	bad.Ready = func(context.Context) error { return errors.New("never") }

	if err := supervisor.Add(bad); err != nil {
		t.Fatal(err)
	}

	eventually(t, "the status tells its last words", func() bool {
		for _, status := range supervisor.Statuses() {
			if status.Name == "bad" && status.State == supervise.Stopped && status.Problem == "port 99999 is out of range" {
				return true
			}
		}

		return false
	})

	waitReady(t, supervisor) // which is not for it to decide

	if err := stop(); err != nil {
		t.Errorf("the others ended with %v", err)
	}
}
