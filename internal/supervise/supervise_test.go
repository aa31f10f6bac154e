package supervise_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/serinhq/serin/internal/supervise"
)

const roleVariable = "SUPERVISE_TEST_ROLE"

// TestMain plays the supervised processes when the supervisor starts this very binary.
func TestMain(m *testing.M) {
	switch role := os.Getenv(roleVariable); role {
	case "":
		goleak.VerifyTestMain(m)
	case "misconfigured":
		fmt.Fprintln(os.Stderr, "port 99999 is out of range")
		os.Exit(2)
	case "polite":
		terminate := make(chan os.Signal, 1)
		signal.Notify(terminate, syscall.SIGTERM)
		<-terminate
		note("stopped " + os.Getenv("NAME"))
	case "deaf":
		signal.Ignore(syscall.SIGTERM)
		note("deaf")
		time.Sleep(time.Hour) // until it is killed
	case "supervisor":
		self, _ := os.Executable()
		_ = supervise.New(supervise.Config{}).Run(context.Background(), []supervise.Process{{
			Name: "child", Path: self, LogPath: os.Getenv("NOTES") + ".child",
			Env: []string{roleVariable + "=lifeline", "NOTES=" + os.Getenv("NOTES")},
		}})
	case "lifeline":
		ctx, cancel := supervise.WithLifeline(context.Background(), os.Getenv)
		defer cancel()
		note("waiting")
		<-ctx.Done()
		note("supervisor is gone")
	default:
		panic(role)
	}
}

// note appends a line to the file that the test reads.
func note(line string) {
	file, err := os.OpenFile(os.Getenv("NOTES"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		panic(err)
	}
	defer file.Close()

	fmt.Fprintln(file, line)
}

func process(t *testing.T, dir, name, role string) supervise.Process {
	t.Helper()

	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}

	return supervise.Process{
		Name: name, Path: self, LogPath: filepath.Join(dir, name+".log"),
		Env: []string{roleVariable + "=" + role, "NOTES=" + filepath.Join(dir, "notes"), "NAME=" + name},
	}
}

// run starts a supervisor; the returned function stops it and returns what Run returned.
func run(t *testing.T, config supervise.Config, processes ...supervise.Process) (*supervise.Supervisor, func() error) {
	t.Helper()

	supervisor := supervise.New(config)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)

	go func() { ended <- supervisor.Run(ctx, processes) }()

	stopped := false
	stop := func() error {
		cancel()

		if stopped {
			return nil
		}

		stopped = true

		return <-ended
	}

	t.Cleanup(func() { _ = stop() })

	return supervisor, stop
}

func waitReady(t *testing.T, supervisor *supervise.Supervisor) {
	t.Helper()

	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()

	if err := supervisor.WaitReady(ctx); err != nil {
		t.Fatal(err)
	}
}

func notes(dir string) string {
	data, _ := os.ReadFile(filepath.Join(dir, "notes"))

	return string(data)
}

// eventually polls until the condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()

	for deadline := time.Now().Add(20 * time.Second); !holds(); {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}

		time.Sleep(5 * time.Millisecond) // between two looks; the deadline decides
	}
}

func TestRestartsWhatDies(t *testing.T) {
	supervisor, _ := run(t, supervise.Config{MinBackoff: time.Millisecond}, process(t, t.TempDir(), "a", "polite"))
	waitReady(t, supervisor)

	first := supervisor.Statuses()[0].PID
	if err := syscall.Kill(first, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}

	eventually(t, "another process is ready", func() bool {
		status := supervisor.Statuses()[0]

		return status.State == supervise.Ready && status.PID != first && status.Restarts == 1
	})

	if exit := supervisor.Statuses()[0].LastExit; !strings.Contains(exit, "killed") {
		t.Errorf("last exit %q does not say how the process ended", exit)
	}
}

func TestStopsStageByStage(t *testing.T) {
	dir := t.TempDir()
	store, door := process(t, dir, "store", "polite"), process(t, dir, "door", "polite")
	door.Stage = 1
	supervisor, stop := run(t, supervise.Config{}, store, door)
	waitReady(t, supervisor)

	if err := stop(); err != nil {
		t.Fatal(err)
	}

	// A process that got its signal before it listened for it dies without a note, hence the suffix check only.
	if got := notes(dir); !strings.HasSuffix("stopped door\nstopped store\n", got) { //nolint:gocritic // see above: got is the suffix
		t.Errorf("stopped in the order %q, want door before store", got)
	}
}

func TestKillsAfterGrace(t *testing.T) {
	dir := t.TempDir()
	deaf := process(t, dir, "deaf", "deaf")
	deaf.Ready = func(context.Context) error {
		if notes(dir) == "" {
			return errors.New("not yet")
		}

		return nil
	}
	supervisor, stop := run(t, supervise.Config{Grace: 10 * time.Millisecond}, deaf)
	waitReady(t, supervisor)

	if err := stop(); err != nil {
		t.Fatal(err)
	}

	if state := supervisor.Statuses()[0].State; state != supervise.Stopped {
		t.Errorf("state %q, want stopped", state)
	}
}

func TestMisconfiguredProcessEndsEverything(t *testing.T) {
	dir := t.TempDir()
	bad := process(t, dir, "bad", "misconfigured")
	bad.Ready = func(context.Context) error { return errors.New("never") }

	err := supervise.New(supervise.Config{}).Run(t.Context(), []supervise.Process{process(t, dir, "fine", "polite"), bad})

	var config *supervise.ConfigError
	if !errors.As(err, &config) || config.Name != "bad" || config.LastWords != "port 99999 is out of range" {
		t.Errorf("got %v, want the last words of bad", err)
	}
}

// The lifeline tells a process that its supervisor is gone, even if that was killed: the middle process supervises the
// child and is killed.
func TestLifelineOutlivesNoSupervisor(t *testing.T) {
	dir := t.TempDir()
	supervisor, _ := run(t, supervise.Config{}, process(t, dir, "middle", "supervisor"))
	waitReady(t, supervisor)
	eventually(t, "the child holds its lifeline", func() bool { return strings.Contains(notes(dir), "waiting\n") })

	if err := syscall.Kill(supervisor.Statuses()[0].PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}

	eventually(t, "the child noticed", func() bool { return strings.Contains(notes(dir), "supervisor is gone\n") })
}

func TestWithoutSupervisorThereIsNoLifeline(t *testing.T) {
	ctx, cancel := supervise.WithLifeline(t.Context(), func(string) string { return "" })
	defer cancel()

	if ctx.Err() != nil {
		t.Error("a process without a supervisor ended")
	}
}
