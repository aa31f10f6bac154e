package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	// readyPoll is the time between two looks at whether a component serves.
	readyPoll = 20 * time.Millisecond
	// readyTimeout is how long a component may take; a busy machine is slow.
	readyTimeout = 90 * time.Second
	// stopGrace is how long a component may take to end when asked.
	stopGrace = 5 * time.Second
)

// Component is one process of the control plane. Tests hurt it: [Component.Kill], [Component.Pause]; and mend it:
// [Component.Start], [Component.Resume]. A component that ends by itself stays ended.
type Component struct {
	// Name is the component's name, and its log's.
	Name string
	// Log is the file that its output is appended to, over all its starts.
	Log string

	path  string
	args  []string
	env   []string
	ready func(context.Context) error

	mu      sync.Mutex
	process *os.Process
	done    chan struct{} // closed when the process has ended
	ended   error
}

// ErrRuns says that a component runs already.
var ErrRuns = errors.New("it runs already")

// Start starts the component and waits until it serves. The error holds the end of its log.
func (c *Component) Start(ctx context.Context) error {
	if err := c.launch(); err != nil {
		return fmt.Errorf("start %s: %w", c.Name, err)
	}

	return c.WaitReady(ctx)
}

// WaitReady waits until the component serves.
func (c *Component) WaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()

	tick := time.NewTicker(readyPoll)
	defer tick.Stop()

	for {
		err := c.ready(ctx)
		if err == nil {
			return nil
		}

		select {
		case <-c.Done():
			return fmt.Errorf("%s ended before it was ready: %w\n%s", c.Name, c.endedWith(), c.tail())
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %w: %w\n%s", c.Name, ctx.Err(), err, c.tail())
		case <-tick.C:
		}
	}
}

// launch starts the process. It dies with this process: the kernel ends it when the thread that started it is gone, so
// that thread waits for its end.
func (c *Component) launch() error {
	c.mu.Lock()
	defer c.mu.Unlock()

	if c.process != nil {
		return ErrRuns
	}

	log, err := os.OpenFile(c.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("open log: %w", err)
	}
	defer log.Close() //nolint:errcheck // the process has its own descriptor

	command := exec.Command(c.path, c.args...) //nolint:noctx // it lives until it is stopped; a program that we built
	command.Env = c.env
	command.Stdout, command.Stderr = log, log
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}

	c.done = make(chan struct{})
	started := make(chan error)

	go c.own(command, c.done, started)

	if err := <-started; err != nil {
		return err
	}

	c.process = command.Process

	return nil
}

// own starts a process and waits for its end, on one thread.
func (c *Component) own(command *exec.Cmd, done chan<- struct{}, started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()

	err := command.Start()
	started <- err

	if err != nil {
		return
	}

	err = command.Wait()

	c.mu.Lock()
	c.process, c.ended = nil, err
	c.mu.Unlock()

	close(done)
}

// Done is closed once the process that was started last has ended.
func (c *Component) Done() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()

	return c.done
}

// PID is the process's id, or 0 while none runs.
func (c *Component) PID() int {
	c.mu.Lock()
	defer c.mu.Unlock()

	if c.process == nil {
		return 0
	}

	return c.process.Pid
}

// Kill ends the component by SIGKILL, with all that it started, and waits until it has ended.
func (c *Component) Kill() { c.end(syscall.SIGKILL) }

// Stop asks the component to end, waits, and kills it if it takes longer than five seconds.
func (c *Component) Stop() {
	c.Resume()
	c.end(syscall.SIGTERM)
}

// Pause freezes the component: connections stay open and nobody answers.
func (c *Component) Pause() { c.signal(syscall.SIGSTOP) }

// Resume ends a [Component.Pause].
func (c *Component) Resume() { c.signal(syscall.SIGCONT) }

func (c *Component) end(signal syscall.Signal) {
	done := c.Done()
	if done == nil {
		return
	}

	c.signal(signal)

	select {
	case <-done:
	case <-time.After(stopGrace):
		c.signal(syscall.SIGKILL)
		<-done
	}
}

// signal goes to the process group; a process that has just ended does not mind.
func (c *Component) signal(signal syscall.Signal) {
	if pid := c.PID(); pid != 0 {
		_ = syscall.Kill(-pid, signal)
	}
}

func (c *Component) endedWith() error {
	c.mu.Lock()
	defer c.mu.Unlock()

	if c.ended == nil {
		return errors.New("exit status 0")
	}

	return c.ended
}

// tail returns the end of the log.
func (c *Component) tail() string {
	content, err := os.ReadFile(c.Log)
	if err != nil {
		return err.Error()
	}

	lines := strings.Split(string(bytes.TrimSpace(content)), "\n")

	return c.Log + " ends with:\n" + strings.Join(lines[max(0, len(lines)-30):], "\n")
}
