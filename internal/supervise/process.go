package supervise

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// misconfigured is the exit code of a process that was started wrongly; starting it again would not help.
const misconfigured = 2

// steady is how long a process must have run for its next restart to come quickly again.
const steady = 10 * time.Second

// readyPoll is the time between two looks at whether a process is ready.
const readyPoll = 15 * time.Millisecond

// keep runs one process again and again until the context ends.
func (s *Supervisor) keep(ctx context.Context, process Process) error {
	status := Status{Name: process.Name, Since: time.Now()}
	backoff := s.config.MinBackoff
	everReady := false

	defer func() {
		status.State, status.PID, status.Since = Stopped, 0, time.Now()
		s.update(status)
	}()

	for {
		started := time.Now()
		wasReady, err := s.once(ctx, process, &status)
		everReady = everReady || wasReady

		if ctx.Err() != nil {
			return nil
		}

		words := lastWords(process.LogPath)

		var exit *exec.ExitError
		if errors.As(err, &exit) && exit.ExitCode() == misconfigured && !everReady {
			return &ConfigError{Name: process.Name, LastWords: words}
		}

		if time.Since(started) > steady {
			backoff = s.config.MinBackoff
		}

		status.State, status.PID, status.Since = Restarting, 0, time.Now()
		status.Restarts++
		status.LastExit = fmt.Sprintf("%v: %s", err, words)
		s.update(status)
		s.config.Logger.WarnContext(ctx, "process ended", "process", process.Name, "exit", fmt.Sprint(err), "restart_in", backoff)

		select {
		case <-time.After(backoff):
		case <-ctx.Done():
			return nil
		}

		backoff = min(2*backoff, s.config.MaxBackoff)
	}
}

// once runs the process until it ends; when the context ends it asks the process to stop, and kills it after the grace.
func (s *Supervisor) once(ctx context.Context, process Process, status *Status) (ready bool, err error) {
	command, lifeline, err := s.start(process)
	if err != nil {
		return false, err
	}
	defer lifeline.Close() //nolint:errcheck // a pipe's end; nothing was written to it

	ended := make(chan error, 1)
	go func() { ended <- command.Wait() }()

	status.State, status.PID, status.Since = Starting, command.Process.Pid, time.Now()
	s.update(*status)

	probing, stopProbing := context.WithCancel(ctx)
	defer stopProbing()

	becameReady := make(chan struct{})
	go probe(probing, process.Ready, becameReady)

	for {
		select {
		case <-becameReady:
			becameReady, ready = nil, true
			status.State, status.Since = Ready, time.Now()
			s.update(*status)
		case err := <-ended:
			return ready, err
		case <-ctx.Done():
			return ready, s.stop(command, ended)
		}
	}
}

// probe closes ready once check succeeds; it gives up when the context ends.
func probe(ctx context.Context, check func(context.Context) error, ready chan<- struct{}) {
	ticker := time.NewTicker(readyPoll)
	defer ticker.Stop()

	for check != nil && check(ctx) != nil {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}

	close(ready)
}

func (s *Supervisor) start(process Process) (command *exec.Cmd, lifeline *os.File, err error) {
	log, err := os.OpenFile(process.LogPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, nil, fmt.Errorf("open log: %w", err)
	}
	defer log.Close() //nolint:errcheck // the child has its own descriptor

	theirs, ours, err := os.Pipe()
	if err != nil {
		return nil, nil, fmt.Errorf("make lifeline: %w", err)
	}
	defer theirs.Close() //nolint:errcheck // the child has its own descriptor

	// Not CommandContext: stopping has a grace, and a context would kill at once.
	command = exec.Command(process.Path, process.Args...) //nolint:gosec,noctx // the path is this very binary; see above
	command.Stdout, command.Stderr = log, log
	command.ExtraFiles = append(append([]*os.File{}, process.Files...), theirs)
	command.Env = append(append([]string{}, process.Env...), fmt.Sprintf("%s=%d", lifelineVariable, 3+len(process.Files)))
	// A group of its own, so that Ctrl-C in a terminal reaches the supervisor alone, which then drains in order.
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}

	if err := command.Start(); err != nil {
		_ = ours.Close()

		return nil, nil, fmt.Errorf("start: %w", err)
	}

	return command, ours, nil
}

func (s *Supervisor) stop(command *exec.Cmd, ended <-chan error) error {
	_ = command.Process.Signal(syscall.SIGTERM) // it may have ended just now; the wait below tells

	select {
	case err := <-ended:
		return err
	case <-time.After(s.config.Grace):
		_ = command.Process.Kill() // as above

		return <-ended
	}
}
