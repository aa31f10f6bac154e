package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/serinhq/serin/mesh/e2e/kubelet/containerspec"
)

// enter runs a program in a container that runs, and returns its exit code.
func enter(spec containerspec.Spec) (int, error) {
	if err := join(spec.PID); err != nil {
		return 0, err
	}

	path, err := find(spec)
	if err != nil {
		return 0, err
	}

	command := &exec.Cmd{
		Path: path, Args: spec.Argv, Env: spec.Env, Dir: spec.Dir, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
		SysProcAttr: &syscall.SysProcAttr{
			Credential: &syscall.Credential{Uid: uint32(spec.UID), Gid: uint32(spec.GID), Groups: groups(spec.Groups)},
		},
	}

	// Who asked for the program may be gone before it ends.
	told := make(chan os.Signal, 1)
	signal.Notify(told, syscall.SIGTERM)

	if err := command.Start(); err != nil {
		return 0, fmt.Errorf("exec: %w", err)
	}

	go func() {
		<-told
		_ = command.Process.Kill() // it may just have ended
	}()

	// The other end takes the close for "it runs".
	if err := unix.Close(containerspec.ProblemFD); err != nil {
		return 0, fmt.Errorf("report the start: %w", err)
	}

	err = command.Wait()

	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok {
		return 0, err
	}

	if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal()), nil
	}

	return exit.ExitCode(), nil
}

// join moves this thread into the container's namespaces, and its children into the container's process ids.
func join(pid int) error {
	kinds := []struct {
		name string
		flag int
	}{
		{"pid", unix.CLONE_NEWPID},
		{"net", unix.CLONE_NEWNET},
		{"uts", unix.CLONE_NEWUTS},
		{"ipc", unix.CLONE_NEWIPC},
		{"mnt", unix.CLONE_NEWNS},
	}

	// All are opened before the first is entered: another mount namespace has another /proc.
	fds := make([]int, len(kinds))

	for i, kind := range kinds {
		fd, err := unix.Open(filepath.Join("/proc", strconv.Itoa(pid), "ns", kind.name), unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("find the container's %s namespace: %w", kind.name, err)
		}

		fds[i] = fd
	}

	// A thread that shares its root with others may not enter another mount namespace.
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return fmt.Errorf("part from the other threads: %w", err)
	}

	for i, kind := range kinds {
		if err := unix.Setns(fds[i], kind.flag); err != nil {
			return fmt.Errorf("enter the container's %s namespace: %w", kind.name, err)
		}
	}

	return nil
}

func groups(ids []int) []uint32 {
	converted := make([]uint32, len(ids))
	for i, id := range ids {
		converted[i] = uint32(id)
	}

	return converted
}
