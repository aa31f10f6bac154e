package kubelet

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/serinhq/serin/mesh/e2e/kubelet/containerspec"
)

// outputWait is how long output is still read after a process has ended.
const outputWait = 5 * time.Second

// process is one process that is the first of its container.
type process struct {
	pid   int
	began time.Time
	done  chan struct{} // closed when it has ended and its output is read

	// Set before done is closed.
	finished time.Time
	exitCode int32
	signal   int32
	problem  string // why it could not be started
}

// launch starts a container's process in the Pod's network and in namespaces of its own.
func (p *pod) launch(spec *containerspec.Spec, log *logFile) (*process, error) {
	command := exec.Command(p.k.options.ContainerInit) //nolint:noctx // it lives until it is stopped; a program of ours
	command.Stdout, command.Stderr = log.stream("stdout"), log.stream("stderr")
	command.WaitDelay = outputWait
	command.SysProcAttr = &syscall.SysProcAttr{
		Setsid:     true,
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC,
	}

	problems, err := p.startInit(command, spec)
	if err != nil {
		return nil, errors.Join(err, log.Close())
	}

	started := &process{pid: command.Process.Pid, began: time.Now(), done: make(chan struct{})}

	// The program has been replaced by the container's once this ends.
	problem, _ := io.ReadAll(problems) // what was read is what there is to say
	_ = problems.Close()

	p.tasks.Go(func() {
		defer close(started.done)

		_ = command.Wait() // the state says how it ended

		log.finish()

		started.finished, started.problem = time.Now(), string(problem)
		started.exitCode, started.signal = exitOf(command.ProcessState)
	})

	return started, nil
}

// startInit starts the program that becomes, or enters, a container. What it has to complain about can be read from the
// returned pipe, which ends when the container's own program has started.
func (p *pod) startInit(command *exec.Cmd, spec *containerspec.Spec) (*os.File, error) {
	description, err := memoryFile(spec)
	if err != nil {
		return nil, err
	}
	defer description.Close() //nolint:errcheck // the process has its own

	problems, theirs, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("make a pipe: %w", err)
	}
	defer theirs.Close() //nolint:errcheck // the process has its own

	command.Env = []string{}
	command.ExtraFiles = []*os.File{description, theirs}

	if err := p.network().inside(command.Start); err != nil {
		return nil, errors.Join(fmt.Errorf("start process: %w", err), problems.Close())
	}

	return problems, nil
}

func (p *pod) network() *sandbox {
	p.mu.Lock()
	defer p.mu.Unlock()

	return p.sandbox
}

// memoryFile holds the description of a container, which may be secret, in no file system.
func memoryFile(spec *containerspec.Spec) (*os.File, error) {
	fd, err := unix.MemfdCreate("container", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("make a file in memory: %w", err)
	}

	file := os.NewFile(uintptr(fd), "container")

	if err := json.NewEncoder(file).Encode(spec); err != nil {
		return nil, errors.Join(fmt.Errorf("describe the container: %w", err), file.Close())
	}

	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return nil, errors.Join(fmt.Errorf("rewind the description: %w", err), file.Close())
	}

	return file, nil
}

// exitOf is the exit code as Kubernetes has it: 128 and the signal's number where one ended the process.
func exitOf(state *os.ProcessState) (code, signal int32) {
	status, ok := state.Sys().(syscall.WaitStatus)
	if ok && status.Signaled() {
		return 128 + int32(status.Signal()), int32(status.Signal())
	}

	return int32(state.ExitCode()), 0
}

// kill sends a signal to the container's first process. As the first of its namespace it takes all others with it when
// it dies, and ignores SIGTERM if it has no handler.
func (p *process) kill(signal syscall.Signal) {
	select {
	case <-p.done: // the number may be somebody else's by now
	default:
		_ = syscall.Kill(p.pid, signal) // it may just have ended
	}
}
