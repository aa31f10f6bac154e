package kubelet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"syscall"

	utilexec "k8s.io/utils/exec"

	"github.com/serinhq/serin/mesh/e2e/kubelet/containerspec"
)

// streams are a program's standard input and outputs; each may be nil.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

// errNotRunning says that a container has no process.
var errNotRunning = errors.New("the container is not running")

// exec runs a program in the container and waits for its end. A program that ends with another code than 0 is a
// [utilexec.CodeExitError].
func (c *container) exec(ctx context.Context, argv []string, streams streams) error {
	c.pod.mu.Lock()
	running := c.process
	c.pod.mu.Unlock()

	if running == nil {
		return errNotRunning
	}

	return c.execIn(ctx, running, argv, streams)
}

func (c *container) execIn(ctx context.Context, running *process, argv []string, streams streams) error {
	spec, err := c.execSpec(ctx, running, argv)
	if err != nil {
		return err
	}

	// The context of a client that has gone ends the program.
	command := exec.CommandContext(ctx, c.pod.k.options.ContainerInit)
	command.Stdout, command.Stderr = streams.out, streams.err
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGTERM) } // it ends the program, then itself
	command.WaitDelay = outputWait

	closeInput, err := feed(command, streams.in)
	if err != nil {
		return err
	}
	defer closeInput()

	problems, err := c.pod.startInit(command, spec)
	if err != nil {
		return err
	}
	defer problems.Close() //nolint:errcheck // read only

	problem, _ := io.ReadAll(problems) // what was read is what there is to say
	err = command.Wait()

	if len(problem) > 0 {
		return errors.New(string(problem))
	}

	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return utilexec.CodeExitError{Err: fmt.Errorf("command terminated with %w", err), Code: exit.ExitCode()}
	}

	return err
}

// feed copies the input without making the command wait for its end: a client may never close it.
func feed(command *exec.Cmd, in io.Reader) (closeInput func(), err error) {
	if in == nil {
		return func() {}, nil
	}

	pipe, err := command.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("make a pipe: %w", err)
	}

	go func() {
		_, _ = io.Copy(pipe, in) // either side may have gone
		_ = pipe.Close()
	}()

	return func() { _ = pipe.Close() }, nil
}

func (c *container) execSpec(ctx context.Context, running *process, argv []string) (*containerspec.Spec, error) {
	env, err := c.environment(ctx)
	if err != nil {
		return nil, err
	}

	user, err := c.user()
	if err != nil {
		return nil, err
	}

	return &containerspec.Spec{
		PID: running.pid, Argv: argv, Env: variables(env), Dir: orElse(c.spec.WorkingDir, "/"),
		UID: user.uid, GID: user.gid, Groups: user.groups,
	}, nil
}
