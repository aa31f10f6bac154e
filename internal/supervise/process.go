package supervise

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"time"
)

// steady is how long a process must have run for its next restart to come quickly again.
const steady = 10 * time.Second

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
			if seen.dead != nil {
				_ = child.kill() // why it was killed says more than how it ended

				end.err = fmt.Errorf("killed: not alive: %w", seen.dead)

				return end
			}

			end.wasReady = end.wasReady || seen.ready

			if status.note(seen); status.State == Unready {
				s.config.Logger.WarnContext(ctx, "process is not ready any more", "process", status.Name, "problem", status.Problem)
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

	environment := slices.Clone(process.Env)
	if process.EnvNow != nil {
		environment = append(environment, process.EnvNow()...)
	}

	environment = append(environment, fmt.Sprintf("%s=%d", lifelineVariable, 3+len(process.Files)))
	command.Env = environment
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
