package supervise_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
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
		os.Exit(supervise.ExitConfig)
	case "panicking":
		panic("at the wrong moment")
	case "failing":
		fmt.Fprintln(os.Stderr, "words of this run")
		os.Exit(1)
	case "silent":
		os.Exit(1)
	case "polite":
		terminate := make(chan os.Signal, 1)
		signal.Notify(terminate, syscall.SIGTERM)
		note("up " + os.Getenv("NAME"))
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
func note(line string) { noteIn(os.Getenv("NOTES"), line) }

func noteIn(path, line string) {
	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
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
		Env: []string{
			roleVariable + "=" + role, "NOTES=" + filepath.Join(dir, "notes"), "NAME=" + name,
			"GOCOVERDIR=" + dir, // else go test -cover makes the process complain in its log
		},
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

// only is the status of the only process, or nothing before the supervisor runs.
func only(supervisor *supervise.Supervisor) supervise.Status {
	for _, status := range supervisor.Statuses() {
		return status
	}

	return supervise.Status{}
}

func notes(dir string) string {
	data, _ := os.ReadFile(filepath.Join(dir, "notes"))

	return string(data)
}

// isUp is ready once a polite process listens for its signal.
func isUp(dir, name string) func(context.Context) error {
	return func(context.Context) error {
		if !strings.Contains(notes(dir), "up "+name+"\n") {
			return errors.New("not up yet")
		}

		return nil
	}
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
	var stopped atomic.Int32

	polite := process(t, t.TempDir(), "a", "polite")
	polite.OnStopped = func() { stopped.Add(1) }
	supervisor, stop := run(t, supervise.Config{MinBackoff: time.Millisecond}, polite)
	waitReady(t, supervisor)

	first := supervisor.Statuses()[0].PID
	if err := syscall.Kill(first, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}

	eventually(t, "another process is ready", func() bool {
		status := only(supervisor)

		return status.State == supervise.Ready && status.PID != first && status.Restarts == 1
	})

	if exit := only(supervisor).LastExit; !strings.Contains(exit, "killed") {
		t.Errorf("last exit %q does not say how the process ended", exit)
	}

	if n := stopped.Load(); n != 0 {
		t.Errorf("OnStopped was called %d times for a process that was started again", n)
	}

	if err := stop(); err != nil {
		t.Fatal(err)
	}

	if n := stopped.Load(); n != 1 {
		t.Errorf("OnStopped was called %d times, want once", n)
	}
}

func TestStopsStageByStage(t *testing.T) {
	dir := t.TempDir()
	store, door := process(t, dir, "store", "polite"), process(t, dir, "door", "polite")
	door.Stage = 1

	for _, process := range []*supervise.Process{&store, &door} {
		process.Ready = isUp(dir, process.Name)
		process.OnStopped = func() { noteIn(filepath.Join(dir, "notes"), "closed "+process.Name) }
	}

	supervisor, stop := run(t, supervise.Config{}, store, door)
	waitReady(t, supervisor)
	before := notes(dir) // both are up, in whichever order

	if err := stop(); err != nil {
		t.Fatal(err)
	}

	want := "stopped door\nclosed door\nstopped store\nclosed store\n"
	if got := strings.TrimPrefix(notes(dir), before); got != want {
		t.Errorf("stopped in the order %q, want %q", got, want)
	}
}

// Problem is what Ready said last, told once for each text, and only while the process is starting.
func TestTellsWhyAProcessIsNotReady(t *testing.T) {
	answers := []error{errors.New("no answer"), errors.New("no answer"), errors.New("no answer"), errors.New("almost"), errors.New("almost")}
	slow := process(t, t.TempDir(), "slow", "polite")
	slow.Ready = func(context.Context) (err error) {
		if len(answers) > 0 {
			err, answers = answers[0], answers[1:]
		}

		return err
	}

	var told []string

	supervisor, stop := run(t, supervise.Config{OnChange: func(status supervise.Status) {
		line, err := json.Marshal(struct {
			State   supervise.State `json:"state"`
			Problem string          `json:"problem,omitempty"`
		}{status.State, status.Problem})
		if err != nil {
			t.Error(err)
		}

		told = append(told, string(line))
	}}, slow)
	waitReady(t, supervisor)

	if err := stop(); err != nil {
		t.Fatal(err)
	}

	want := []string{
		`{"state":"starting"}`, // planned
		`{"state":"starting"}`, // runs
		`{"state":"starting","problem":"no answer"}`,
		`{"state":"starting","problem":"almost"}`,
		`{"state":"ready"}`,
		`{"state":"stopped"}`,
	}
	if !slices.Equal(told, want) {
		t.Errorf("told %q, want %q", told, want)
	}
}

func TestProblemEndsWithItsRun(t *testing.T) {
	failing := process(t, t.TempDir(), "failing", "failing")
	failing.Ready = func(context.Context) error { return errors.New("never") }

	var told, stale atomic.Int32

	supervisor, stop := run(t, supervise.Config{MinBackoff: time.Millisecond, OnChange: func(status supervise.Status) {
		switch {
		case status.Problem == "":
		case status.State == supervise.Starting:
			told.Add(1)
		default:
			stale.Add(1)
		}
	}}, failing)
	eventually(t, "it ended with a problem", func() bool { return told.Load() > 0 && only(supervisor).Restarts > 1 })

	if err := stop(); err != nil {
		t.Fatal(err)
	}

	if n := stale.Load(); n != 0 {
		t.Errorf("%d changes told a problem of a process that did not run", n)
	}
}

// A process that hangs is killed, though not for failures that are not in a row.
func TestKillsWhatIsNotAlive(t *testing.T) {
	hung := errors.New("no answer")
	answers := []error{hung, hung, nil, hung, hung, hung}

	var asked atomic.Int32

	process := process(t, t.TempDir(), "a", "polite")
	process.Alive = func(context.Context) error {
		if n := int(asked.Add(1)); n <= len(answers) {
			return answers[n-1]
		}

		return nil
	}
	supervisor, _ := run(t, supervise.Config{MinBackoff: time.Millisecond, AliveInterval: time.Millisecond}, process)

	eventually(t, "another process is alive", func() bool {
		status := only(supervisor)

		return status.State == supervise.Ready && status.Restarts == 1 && int(asked.Load()) > len(answers)+3
	})

	if exit := only(supervisor).LastExit; !strings.HasPrefix(exit, "killed: not alive: no answer") {
		t.Errorf("last exit %q does not say why the process was killed", exit)
	}
}

// What was ready once may get stuck: it keeps running, and counts as unready until it answers again.
func TestNoticesWhatIsNotReadyAnyMore(t *testing.T) {
	var stuck, failures atomic.Int32

	process := process(t, t.TempDir(), "a", "polite")
	process.Ready = func(ctx context.Context) error {
		if stuck.Load() == 0 {
			return nil
		}

		failures.Add(1)
		<-ctx.Done()

		return errors.New("no answer")
	}
	supervisor, _ := run(t, supervise.Config{ReadyInterval: time.Millisecond, ReadyFailures: 5}, process)

	state := func(want supervise.State) func() bool {
		return func() bool { return only(supervisor).State == want }
	}

	eventually(t, "it is ready", state(supervise.Ready))
	before := only(supervisor)

	stuck.Store(1)
	eventually(t, "it is unready", state(supervise.Unready))

	if got := only(supervisor); got.Problem != "no answer" || got.PID != before.PID || failures.Load() < 5 {
		t.Errorf("after %d failures it is %+v", failures.Load(), got)
	}

	stuck.Store(0)
	eventually(t, "it is ready again", state(supervise.Ready))

	if got := only(supervisor); got.Problem != "" || got.Restarts != 0 {
		t.Errorf("it is %+v", got)
	}
}

// A look at a process that hangs may take forever: it ends with the interval.
func TestBoundsTheLookAtWhetherAProcessIsAlive(t *testing.T) {
	process := process(t, t.TempDir(), "a", "polite")
	process.Alive = func(ctx context.Context) error {
		<-ctx.Done()

		return ctx.Err()
	}
	supervisor, _ := run(t, supervise.Config{AliveInterval: time.Millisecond, AliveFailures: 1}, process)

	eventually(t, "it was killed", func() bool {
		return strings.HasPrefix(only(supervisor).LastExit, "killed: not alive: context deadline exceeded")
	})
}

// A stop during a look is a stop, not a death.
func TestStopsWhileSomebodyLooks(t *testing.T) {
	dir := t.TempDir()
	looking := make(chan struct{})
	process := process(t, dir, "a", "polite")
	process.Ready = isUp(dir, "a")
	process.Alive = func(ctx context.Context) error {
		select {
		case looking <- struct{}{}:
		case <-ctx.Done():
		}

		<-ctx.Done()

		return ctx.Err()
	}
	_, stop := run(t, supervise.Config{AliveInterval: time.Millisecond, AliveFailures: 1 << 30}, process)
	<-looking

	if err := stop(); err != nil {
		t.Fatal(err)
	}

	if got := notes(dir); got != "up a\nstopped a\n" {
		t.Errorf("notes %q, want a polite stop", got)
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
	stopped := 0
	bad := process(t, dir, "bad", "misconfigured")
	bad.Ready = func(context.Context) error { return errors.New("never") }
	bad.OnStopped = func() { stopped++ }

	err := supervise.New(supervise.Config{}).Run(t.Context(), []supervise.Process{process(t, dir, "fine", "polite"), bad})

	var config *supervise.ConfigError
	if !errors.As(err, &config) || config.Name != "bad" || config.LastWords != "port 99999 is out of range" {
		t.Errorf("got %v, want the last words of bad", err)
	}

	if stopped != 1 {
		t.Errorf("OnStopped was called %d times, want once", stopped)
	}
}

// Go exits with 2 after a panic, which is nothing that the configuration did.
func TestPanicIsNoMisconfiguration(t *testing.T) {
	process := process(t, t.TempDir(), "a", "panicking")
	process.Ready = func(context.Context) error { return errors.New("never") }
	supervisor, _ := run(t, supervise.Config{MinBackoff: time.Millisecond}, process)

	eventually(t, "it was started again, twice", func() bool { return only(supervisor).Restarts > 1 })

	if exit := only(supervisor).LastExit; !strings.HasPrefix(exit, "exit status 2: ") {
		t.Errorf("last exit %q, want that of a panic", exit)
	}
}

func TestLastWordsAreOfTheLastRun(t *testing.T) {
	for role, want := range map[string]string{
		"silent":  "exit status 1: it wrote nothing to its log",
		"failing": "exit status 1: words of this run",
	} {
		t.Run(role, func(t *testing.T) {
			process := process(t, t.TempDir(), "a", role)
			noteIn(process.LogPath, "words of an earlier run")

			supervisor, _ := run(t, supervise.Config{}, process)
			eventually(t, "it ended", func() bool { return only(supervisor).LastExit != "" })

			if exit := only(supervisor).LastExit; exit != want {
				t.Errorf("last exit %q, want %q", exit, want)
			}
		})
	}
}

func TestLogThatCannotBeOpened(t *testing.T) {
	process := process(t, t.TempDir(), "a", "polite")
	process.LogPath = filepath.Join(process.LogPath, "below", "nothing")
	supervisor, _ := run(t, supervise.Config{}, process)

	eventually(t, "it says so", func() bool { return strings.HasPrefix(only(supervisor).LastExit, "open log: ") })
}

// Every start puts a log aside that is too long, so that two logs of a limited length are kept.
func TestPutsLongLogsAside(t *testing.T) {
	const line = "words of this run\n"

	for name, test := range map[string]struct {
		limit int64
		aside string
	}{
		"above the limit": {limit: int64(len(line)) - 1, aside: line},
		"below the limit": {limit: 1 << 20, aside: "older\n"},
	} {
		t.Run(name, func(t *testing.T) {
			process := process(t, t.TempDir(), "a", "failing")
			noteIn(process.LogPath+".1", "older")
			noteIn(process.LogPath, "words of an earlier run")

			supervisor, stop := run(t, supervise.Config{MinBackoff: time.Millisecond, MaxLogBytes: test.limit}, process)
			eventually(t, "it was started again", func() bool { return only(supervisor).Restarts > 1 })

			if err := stop(); err != nil {
				t.Fatal(err)
			}

			if aside, err := os.ReadFile(process.LogPath + ".1"); err != nil || string(aside) != test.aside {
				t.Errorf("put aside %q (%v), want %q", aside, err, test.aside)
			}

			log, err := os.ReadFile(process.LogPath)
			if kept := strings.HasPrefix(string(log), "words of an earlier run\n"); err != nil || kept != (test.aside != line) {
				t.Errorf("the log is %q (%v)", log, err)
			}
		})
	}
}

func TestLogThatCannotBePutAside(t *testing.T) {
	process := process(t, t.TempDir(), "a", "polite")
	noteIn(process.LogPath, "words of an earlier run")
	noteIn(process.LogPath, "and more")

	if err := os.Mkdir(process.LogPath+".1", 0o700); err != nil {
		t.Fatal(err)
	}

	supervisor, _ := run(t, supervise.Config{MaxLogBytes: 1}, process)
	waitReady(t, supervisor) // all the same
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
