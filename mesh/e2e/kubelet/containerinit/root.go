package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/serinhq/serin/mesh/e2e/kubelet/containerspec"
)

// systemDirs are the host's, read only: they stand for what an image brings.
var systemDirs = []string{"/bin", "/sbin", "/lib", "/lib32", "/lib64", "/usr"}

// devices are what a container finds in /dev.
var devices = []string{"null", "zero", "full", "random", "urandom", "tty"}

// buildRoot makes the file system on a tmpfs and moves into it. What is not a mount is the container's own, writable
// unless the spec says otherwise, and gone with it.
func buildRoot(spec containerspec.Spec) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("keep mounts to the container: %w", err)
	}

	if err := unix.Mount("tmpfs", spec.Root, "tmpfs", unix.MS_NOSUID, "mode=0755"); err != nil {
		return fmt.Errorf("mount root: %w", err)
	}

	for _, build := range []func(containerspec.Spec) error{makeSystem, makeDevices, writeFiles, makeMounts} {
		if err := build(spec); err != nil {
			return err
		}
	}

	return pivot(spec)
}

func makeSystem(spec containerspec.Spec) error {
	for _, dir := range systemDirs {
		target, err := os.Readlink(dir)
		if err == nil {
			err = os.Symlink(target, filepath.Join(spec.Root, dir))
		} else if _, missing := os.Stat(dir); missing == nil {
			err = bind(spec.Root, containerspec.Mount{Source: dir, Target: dir, ReadOnly: true})
		} else {
			err = nil
		}

		if err != nil {
			return fmt.Errorf("provide %s: %w", dir, err)
		}
	}

	for dir, mode := range map[string]os.FileMode{"/tmp": 0o777 | os.ModeSticky, "/proc": 0o555, "/dev": 0o755, "/etc": 0o755, "/var": 0o755, "/run": 0o755, "/root": 0o700} {
		path := filepath.Join(spec.Root, dir)
		if err := errors.Join(os.MkdirAll(path, 0o755), os.Chmod(path, mode)); err != nil {
			return fmt.Errorf("make %s: %w", dir, err)
		}
	}

	if err := unix.Mount("proc", filepath.Join(spec.Root, "proc"), "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}

	return nil
}

func makeDevices(spec containerspec.Spec) error {
	for _, device := range devices {
		path := filepath.Join("/dev", device)
		if err := bind(spec.Root, containerspec.Mount{Source: path, Target: path}); err != nil {
			return err
		}
	}

	for name, target := range map[string]string{"fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2"} {
		if err := os.Symlink(target, filepath.Join(spec.Root, "dev", name)); err != nil {
			return fmt.Errorf("make /dev/%s: %w", name, err)
		}
	}

	return nil
}

func writeFiles(spec containerspec.Spec) error {
	for name, content := range spec.Files {
		path := filepath.Join(spec.Root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return fmt.Errorf("make the directory of %s: %w", name, err)
		}

		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
	}

	return nil
}

func makeMounts(spec containerspec.Spec) error {
	for _, mount := range spec.Mounts {
		if err := bind(spec.Root, mount); err != nil {
			return err
		}
	}

	return nil
}

// bind mounts a file or directory, and makes the place for it.
func bind(root string, mount containerspec.Mount) error {
	target := filepath.Join(root, mount.Target)

	info, err := os.Stat(mount.Source)
	if err != nil {
		return fmt.Errorf("mount %s: %w", mount.Target, err)
	}

	if err := makePlace(target, info.IsDir()); err != nil {
		return fmt.Errorf("make a place for mount %s: %w", mount.Target, err)
	}

	if err := unix.Mount(mount.Source, target, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("mount %s: %w", mount.Target, err)
	}

	if !mount.ReadOnly {
		return nil
	}

	if err := unix.Mount("", target, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		return fmt.Errorf("make mount %s read only: %w", mount.Target, err)
	}

	return nil
}

func makePlace(target string, dir bool) error {
	if _, err := os.Stat(target); err == nil {
		return nil
	}

	if dir {
		return os.MkdirAll(target, 0o755)
	}

	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return err
	}

	return os.WriteFile(target, nil, 0o644)
}

// pivot makes the new root the root, and forgets the old.
func pivot(spec containerspec.Spec) error {
	old := filepath.Join(spec.Root, ".old")
	if err := os.Mkdir(old, 0o700); err != nil {
		return fmt.Errorf("make a place for the old root: %w", err)
	}

	if err := unix.PivotRoot(spec.Root, old); err != nil {
		return fmt.Errorf("change root: %w", err)
	}

	if err := os.Chdir("/"); err != nil {
		return fmt.Errorf("change to the new root: %w", err)
	}

	if err := unix.Unmount("/.old", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("leave the old root: %w", err)
	}

	if err := os.Remove("/.old"); err != nil {
		return fmt.Errorf("remove the old root's place: %w", err)
	}

	if !spec.ReadOnlyRoot {
		return nil
	}

	if err := unix.Mount("", "/", "", unix.MS_REMOUNT|unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("make the root read only: %w", err)
	}

	return nil
}
