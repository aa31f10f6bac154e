package readme_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// patience is how long one block of commands may take on a busy machine.
const patience = 4 * time.Minute

// shell is one that a person types into: what one block sets, the next one has.
type shell struct {
	*testing.T

	in  io.Writer
	out *bufio.Reader
}

// open starts a shell in a directory.
func open(t *testing.T, dir string, env ...string) *shell {
	t.Helper()

	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}

	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	bash := exec.CommandContext(ctx, "bash", "-eo", "pipefail")
	bash.Dir, bash.Env = dir, append(os.Environ(), env...)
	bash.Stdout, bash.Stderr = write, write
	bash.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	bash.Cancel = func() error { return syscall.Kill(-bash.Process.Pid, syscall.SIGKILL) } // with what it left running

	in, err := bash.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}

	if err := bash.Start(); err != nil {
		t.Fatal(err)
	}

	t.Cleanup(func() {
		cancel()
		_ = bash.Wait() // it was killed
		_ = read.Close()
	})

	_ = write.Close() // the shell has its own

	return &shell{T: t, in: in, out: bufio.NewReader(read)}
}

// run types a block and returns what is printed until all of it has been done.
func (s *shell) run(block string) string {
	s.Helper()

	const done = "== done"

	if _, err := fmt.Fprintf(s.in, "%s\nprintf '\\n%%s\\n' %q\n", block, done); err != nil {
		s.Fatal(err)
	}

	printed := make(chan string, 1)
	ended := make(chan error, 1)

	go func() {
		text := &strings.Builder{}

		for {
			line, err := s.out.ReadString('\n')
			if err != nil || strings.TrimSpace(line) == done {
				printed <- text.String()
				ended <- err

				return
			}

			text.WriteString(line)
		}
	}()

	select {
	case text := <-printed:
		if err := <-ended; err != nil {
			s.Fatalf("this failed:\n%s\nit said:\n%s", block, text)
		}

		return text
	case <-time.After(patience):
		s.Fatalf("this did not end:\n%s", block)

		return ""
	}
}
