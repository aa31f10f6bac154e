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

// steady is how long a process must have run for its next restart to come quickly again.
const steady = 10 * time.Second

// readyPoll is the time between two looks at whether a process is ready.
const readyPoll = 15 * time.Millisecond

// keep runs one process again and again until the context ends.
func (s *Supervisor) keep(ctx context.Context, joined *member) error {
	process := joined.process
	status := Status{Name: process.Name, Since: time.Now()}
	backoff := s.config.MinBackoff
	everReady := false

	defer func() {
		status.State, status.PID, status.Since = Stopped, 0, time.Now()
		s.update(status)

		if process.OnStopped != nil {
			process.OnStopped()
		}
	}()

	for {
		started := time.Now()
		end := s.once(ctx, joined, &status)
		everReady = everReady || end.wasReady
		status.Problem = ""

		if ctx.Err() != nil {
			return nil
		}

		if end.again {
			continue
		}

		var exit *exec.ExitError
		if errors.As(end.err, &exit) && exit.ExitCode() == ExitConfig && !everReady {
			status.Problem = end.words

			return &ConfigError{Name: process.Name, LastWords: end.words}
		}

		if time.Since(started) > steady {
			backoff = s.config.MinBackoff
		}

		status.State, status.PID, status.Since = Restarting, 0, time.Now()
		status.Restarts++
		status.LastExit = fmt.Sprintf("%v: %s", end.err, end.words)
		s.update(status)
		s.config.Logger.WarnContext(ctx, "process ended", "process", process.Name, "exit", status.LastExit, "restart_in", backoff)

		select {
		case <-time.After(backoff):
		case <-ctx.Done():
			return nil
		}

		backoff = min(2*backoff, s.config.MaxBackoff)
	}
}

// child is one run of a process.
type child struct {
	command  *exec.Cmd
	lifeline *os.File
	logBegin int64 // where in the log its words begin
	ended    chan error
}

// outcome is how one run of a process ended.
type outcome struct {
	err      error
	words    string // the last that it wrote
	wasReady bool
	again    bool // it was asked to start again
}

// once runs the process until it ends; when the context ends it asks the process to stop, and kills it after the grace.
func (s *Supervisor) once(ctx context.Context, joined *member, status *Status) outcome {
	process := joined.process

	select {
	case <-joined.restart: // it starts anyhow
	default:
	}

	child, err := s.start(ctx, process)
	if err != nil {
		return outcome{err: err, words: silent}
	}
	defer child.lifeline.Close() //nolint:errcheck // a pipe's end; nothing was written to it

	go func() { child.ended <- child.command.Wait() }()

	status.State, status.PID, status.Since = Starting, child.command.Process.Pid, time.Now()
	s.update(*status)

	end := s.accompany(ctx, joined, child, status)
	end.words = lastWords(process.LogPath, child.logBegin)

	return end
}

// accompany keeps the status of a running process and returns once it has ended, why ever.
func (s *Supervisor) accompany(ctx context.Context, joined *member, child *child, status *Status) (end outcome) {
	looking, stopLooking := context.WithCancel(ctx)
	defer stopLooking()

	signs := make(chan sign)
	go s.look(looking, joined.process, signs)

	for {
		select {
		case seen := <-signs:
			switch {
			case seen.dead != nil:
				_ = child.kill() // why it was killed says more than how it ended

				end.err = fmt.Errorf("killed: not alive: %w", seen.dead)

				return end
			case seen.ready:
				end.wasReady = true
				status.State, status.Since, status.Problem = Ready, time.Now(), ""
			default:
				status.Problem = seen.problem
			}

			s.update(*status)
		case end.err = <-child.ended:
			return end
		case <-joined.restart:
			end.err, end.again = s.stop(child), true

			return end
		case <-ctx.Done():
			end.err = s.stop(child)

			return end
		}
	}
}

// sign is what a look at a running process showed.
type sign struct {
	problem string // why it is not ready yet
	ready   bool
	dead    error // why it is to be killed
}

// look tells what changes about a running process, until the context ends.
func (s *Supervisor) look(ctx context.Context, process Process, signs chan<- sign) {
	show := func(seen sign) {
		select {
		case signs <- seen:
		case <-ctx.Done():
		}
	}

	if process.Ready != nil && !awaitReady(ctx, process.Ready, show) {
		return
	}

	show(sign{ready: true})

	if process.Alive == nil {
		return
	}

	if dead := s.awaitDead(ctx, process.Alive); dead != nil {
		show(sign{dead: dead})
	}
}

// awaitReady polls until check succeeds, and shows each new reason why it does not. It is false if the context ends first.
func awaitReady(ctx context.Context, check func(context.Context) error, show func(sign)) bool {
	ticker := time.NewTicker(readyPoll)
	defer ticker.Stop()

	for last := ""; ; {
		err := check(ctx)
		if err == nil {
			return true
		}

		// An end of the context is no problem of the process.
		if problem := err.Error(); problem != last && ctx.Err() == nil {
			last = problem
			show(sign{problem: problem})
		}

		select {
		case <-ticker.C:
		case <-ctx.Done():
			return false
		}
	}
}

// awaitDead polls until check has failed too often in a row, and returns its last error. It is nil if the context ends
// first.
func (s *Supervisor) awaitDead(ctx context.Context, check func(context.Context) error) error {
	ticker := time.NewTicker(s.config.AliveInterval)
	defer ticker.Stop()

	for failures := 0; ; {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil
		}

		err := bounded(ctx, s.config.AliveInterval, check)

		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil:
			failures = 0
		default:
			failures++
		}

		if failures == s.config.AliveFailures {
			return err
		}
	}
}

func bounded(ctx context.Context, limit time.Duration, check func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()

	return check(ctx)
}

func (s *Supervisor) start(ctx context.Context, process Process) (*child, error) {
	if err := rotate(process.LogPath, s.config.MaxLogBytes); err != nil {
		// A long log is better than no process.
		s.config.Logger.WarnContext(ctx, "log goes on growing", "process", process.Name, "error", err)
	}

	log, begin, err := openLog(process.LogPath)
	if err != nil {
		return nil, err
	}
	defer log.Close() //nolint:errcheck // the child has its own descriptor

	theirs, ours, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("make lifeline: %w", err)
	}
	defer theirs.Close() //nolint:errcheck // the child has its own descriptor

	// Not CommandContext: stopping has a grace, and a context would kill at once.
	command := exec.Command(process.Path, process.Args...) //nolint:gosec,noctx // the path is this very binary; see above
	command.Stdout, command.Stderr = log, log
	command.ExtraFiles = append(append([]*os.File{}, process.Files...), theirs)
	command.Env = append(append([]string{}, process.Env...), fmt.Sprintf("%s=%d", lifelineVariable, 3+len(process.Files)))
	// A group of its own, so that Ctrl-C in a terminal reaches the supervisor alone, which then drains in order.
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}

	if err := command.Start(); err != nil {
		_ = ours.Close()

		return nil, fmt.Errorf("start: %w", err)
	}

	return &child{command: command, lifeline: ours, logBegin: begin, ended: make(chan error, 1)}, nil
}

func (s *Supervisor) stop(child *child) error {
	_ = child.command.Process.Signal(syscall.SIGTERM) // it may have ended just now; the wait below tells

	select {
	case err := <-child.ended:
		return err
	case <-time.After(s.config.Grace):
		return child.kill()
	}
}

func (c *child) kill() error {
	_ = c.command.Process.Kill() // it may have ended just now; the wait below tells

	return <-c.ended
}
