package tools

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// stuckWrite is how long a server may leave its input unread while we write to it; then it is taken for hung.
const stuckWrite = 10 * time.Second

// lastOutput is how long what a process wrote before its end may still be read, if children of its keep the pipe open.
const lastOutput = time.Second

// process is a running tool server: a group of its own, with pipes for input and output.
type process struct {
	command *exec.Cmd
	stdin   *os.File
	stdout  *os.File
	exited  chan struct{}
	err     error // how it ended; to be read once exited is closed
}

// startProcess starts a server. Its whole environment is given; what it writes to standard error goes to diagnostics.
func startProcess(command, environment []string, diagnostics io.Writer) (*process, error) {
	theirIn, ourIn, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("making a pipe: %w", err)
	}

	ourOut, theirOut, err := os.Pipe()
	if err != nil {
		closeAll(theirIn, ourIn)

		return nil, fmt.Errorf("making a pipe: %w", err)
	}

	// Not CommandContext: a context would kill at once, and stopping has a grace.
	child := exec.Command(command[0], command[1:]...) //nolint:gosec,noctx // running what the operator declared is the job
	child.Env = environment
	child.Stdin, child.Stdout, child.Stderr = theirIn, theirOut, diagnostics
	child.WaitDelay = lastOutput // standard error may be kept open by children of its own
	child.SysProcAttr = processAttributes()

	made := &process{command: child, stdin: ourIn, stdout: ourOut, exited: make(chan struct{})}
	err = made.launch()

	closeAll(theirIn, theirOut)

	if err != nil {
		closeAll(ourIn, ourOut)

		return nil, err
	}

	return made, nil
}

// launch starts the child from a thread that lives as long as the child does: Linux sends the signal for the death of a
// parent when the thread that made the child ends.
func (p *process) launch() error {
	started := make(chan error)

	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()

		err := p.command.Start()
		started <- err

		if err != nil {
			return
		}

		p.err = p.command.Wait()
		close(p.exited)
		p.signal(syscall.SIGKILL) // what it may have left behind in its group
	}()

	if err := <-started; err != nil {
		return fmt.Errorf("starting: %w", err)
	}

	return nil
}

// stop ends the process as MCP asks for: close its input, wait, SIGTERM, wait, SIGKILL. It returns when it has ended.
func (p *process) stop(grace time.Duration) {
	closeAll(p.stdin)

	if !p.waitFor(grace) {
		p.signal(syscall.SIGTERM)

		if !p.waitFor(grace) {
			p.signal(syscall.SIGKILL)
			<-p.exited
		}
	}

	closeAll(p.stdout)
}

func (p *process) waitFor(limit time.Duration) bool {
	timer := time.NewTimer(limit)
	defer timer.Stop()

	select {
	case <-p.exited:
		return true
	case <-timer.C:
		return false
	}
}

// signal goes to the whole group: servers are often started through a shell or npx.
func (p *process) signal(signal syscall.Signal) {
	_ = syscall.Kill(-p.command.Process.Pid, signal) // it may have ended just now, which is what is wanted
}

// Write writes to the server's input. A server that does not read fails the write, and with it the session.
func (p *process) Write(data []byte) (int, error) {
	if err := p.stdin.SetWriteDeadline(time.Now().Add(stuckWrite)); err != nil {
		return 0, fmt.Errorf("setting a deadline: %w", err)
	}

	return p.stdin.Write(data) //nolint:wrapcheck // it is a writer like the one below it
}

// Close closes the server's input.
func (p *process) Close() error {
	return p.stdin.Close() //nolint:wrapcheck // as above
}

func closeAll(files ...*os.File) {
	for _, file := range files {
		_ = file.Close() // a pipe's end: nothing is buffered, and a second close does no harm
	}
}
