package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/serinhq/serin/mesh/e2e/binaries"
)

const (
	stageVariable    = "SERIN_E2E_STAGE"
	binariesVariable = "SERIN_E2E_BINARIES"
	programsVariable = "SERIN_E2E_PROGRAMS"
	// requireVariable makes what would be skipped a failure, as everywhere in the repository's tests.
	requireVariable = "SERIN_TEST_REQUIRE"
)

// The stages of a program that lives in a node: its parent in the host's namespaces builds and waits, the first process
// in the new ones makes the network and takes the orphans, and below it the program itself runs.
const (
	stageInit = "init"
	stageNode = "node"
)

// Main is for TestMain: it builds the control plane and the given programs, runs the tests inside a node and returns
// the exit code. A node is a network, mount and process namespace, so that nothing that a test starts can be seen from
// outside or outlive it. Where there are no rights for that the tests are skipped, or fail if SERIN_TEST_REQUIRE is set.
//
//	func TestMain(m *testing.M) { os.Exit(cluster.Main(m, binaries.Serin())) }
func Main(m *testing.M, programs ...binaries.Program) int { return MainWith(m.Run, programs...) }

// MainWith is [Main] for packages that do something around their tests, such as to start one cluster for all.
func MainWith(run func() int, programs ...binaries.Program) int {
	if os.Geteuid() != 0 && os.Getenv(stageVariable) == "" {
		fmt.Fprintln(os.Stderr, "skipped: a node's namespaces need root")

		if os.Getenv(requireVariable) != "" {
			return 1
		}

		return 0
	}

	return RunInNode(run, os.Stderr, programs)
}

// RunInNode runs the function inside a node, by starting this program again, and returns the exit code. The files are
// inherited: descriptor 3 is the first. See [Main].
func RunInNode(run func() int, progress io.Writer, programs []binaries.Program, files ...*os.File) int {
	var (
		code int
		err  error
	)

	switch os.Getenv(stageVariable) {
	case stageNode:
		return run()
	case stageInit:
		code, err = runInit(files)
	default:
		code, err = runOutside(progress, programs, files)
	}

	if err != nil {
		fmt.Fprintln(os.Stderr, "run in a node:", err)

		return 1
	}

	return code
}

// inNode reports whether this process lives in a node.
func inNode() bool { return os.Getenv(stageVariable) == stageNode }

func runOutside(progress io.Writer, programs []binaries.Program, files []*os.File) (code int, err error) {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()

	dir, err := binaries.Build(ctx, progress)
	if err != nil {
		return 0, err
	}

	built, err := os.MkdirTemp("", "serin-e2e-programs-")
	if err != nil {
		return 0, fmt.Errorf("make a place for programs: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(built)) }()

	for _, program := range programs {
		if err := program.Build(ctx, built); err != nil {
			return 0, err
		}
	}

	cancel()

	inner := again(stageInit, files)
	inner.Env = append(inner.Env, binariesVariable+"="+dir, programsVariable+"="+built)
	inner.SysProcAttr.Cloneflags = syscall.CLONE_NEWNET | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWIPC

	return relay(inner)
}

// runInit is the first process of the namespaces; when it ends the kernel ends all others.
func runInit(files []*os.File) (int, error) {
	if err := makeNode(); err != nil {
		return 0, err
	}

	inner := again(stageNode, files)
	if err := inner.Start(); err != nil {
		return 0, fmt.Errorf("start inside the node: %w", err)
	}

	stop := forward(inner.Process)
	defer stop()

	return reap(inner.Process.Pid)
}

// Inherited returns the first of the files that were given to [RunInNode] outside of the node; nil outside.
func Inherited() *os.File {
	if os.Getenv(stageVariable) == "" {
		return nil
	}

	return os.NewFile(3, "inherited")
}

// reap waits for the process, and takes the end of every orphan until then.
func reap(pid int) (int, error) {
	for {
		var status syscall.WaitStatus

		ended, err := syscall.Wait4(-1, &status, 0, nil)
		if errors.Is(err, syscall.EINTR) {
			continue
		}

		if err != nil {
			return 0, fmt.Errorf("wait for the node: %w", err)
		}

		if ended == pid && status.Signaled() {
			return 128 + int(status.Signal()), nil
		}

		if ended == pid {
			return status.ExitStatus(), nil
		}
	}
}

// again is this program once more, in another stage.
func again(stage string, files []*os.File) *exec.Cmd {
	inner := exec.Command("/proc/self/exe", os.Args[1:]...) //nolint:noctx // signals are forwarded; this program
	inner.Args[0] = os.Args[0]
	inner.Env = append(os.Environ(), stageVariable+"="+stage)
	inner.Stdin, inner.Stdout, inner.Stderr = os.Stdin, os.Stdout, os.Stderr
	inner.ExtraFiles = files
	inner.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}

	return inner
}

// relay runs the program and forwards signals to it.
func relay(inner *exec.Cmd) (int, error) {
	if err := inner.Start(); err != nil {
		return 0, fmt.Errorf("enter namespaces of its own: %w", err)
	}

	stop := forward(inner.Process)
	defer stop()

	err := inner.Wait()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return max(exit.ExitCode(), 1), nil
	}

	return 0, err
}

func forward(to *os.Process) (stop func()) {
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGQUIT, syscall.SIGHUP)

	done := make(chan struct{})

	go func() {
		defer close(done)

		for received := range signals {
			_ = to.Signal(received) // it may have ended
		}
	}()

	return func() {
		signal.Stop(signals)
		close(signals)
		<-done
	}
}

// Program is the path of a program that [Main] built.
func Program(name string) string { return filepath.Join(os.Getenv(programsVariable), name) }

// withPrograms adds the programs that [Main] built to the images.
func withPrograms(images map[string]string) map[string]string {
	all := map[string]string{}

	entries, _ := os.ReadDir(os.Getenv(programsVariable)) // without Main there are none
	for _, entry := range entries {
		all[strings.ToLower(entry.Name())] = Program(entry.Name())
	}

	maps.Copy(all, images)

	return all
}
