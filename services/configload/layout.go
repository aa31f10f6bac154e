package configload

import (
	"bytes"
	"errors"
	"fmt"
	"os"
)

// file is one that is laid out.
type file struct {
	name string
	data []byte
}

// written says of a file whether it was not there as it is.
type written map[string]bool

// layOut writes files into a folder. They are written beside what is there and then moved over it, each in one step: a
// reader sees the old or the new content of each, and nobody half of one. What is there already is left alone.
func layOut(out string, files []file) (_ written, err error) {
	if err := os.MkdirAll(out, 0o755); err != nil { //nolint:gosec // other containers of the pod, as other users, read it
		return nil, fmt.Errorf("make the folder: %w", err)
	}

	root, err := os.OpenRoot(out)
	if err != nil {
		return nil, fmt.Errorf("open the folder: %w", err)
	}
	defer root.Close() //nolint:errcheck // it is a handle

	done := written{}

	defer func() {
		for name := range done {
			if err != nil {
				_ = root.Remove(beside(name)) // it may have been moved already
			}
		}
	}()

	for _, each := range files {
		if holds(root, each) {
			done[each.name] = false

			continue
		}

		done[each.name] = true

		if err := writeBeside(root, each); err != nil {
			return nil, err
		}
	}

	for _, each := range files {
		if done[each.name] {
			if err := root.Rename(beside(each.name), each.name); err != nil {
				return nil, fmt.Errorf("put %s into its place: %w", each.name, err)
			}
		}
	}

	return done, syncFolder(root)
}

func beside(name string) string { return "." + name + ".new" }

func holds(root *os.Root, wanted file) bool {
	info, err := root.Lstat(wanted.name)
	if err != nil || !info.Mode().IsRegular() {
		return false
	}

	data, err := root.ReadFile(wanted.name)

	return err == nil && bytes.Equal(data, wanted.data)
}

// writeBeside takes the place of what a run left that was killed.
func writeBeside(root *os.Root, wanted file) (err error) {
	name := beside(wanted.name)

	if err := root.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove %s: %w", name, err)
	}

	file, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return fmt.Errorf("write %s: %w", wanted.name, err)
	}

	_, err = file.Write(wanted.data)
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return fmt.Errorf("write %s: %w", wanted.name, err)
	}

	return nil
}

// syncFolder has the moves outlive a crash of the machine.
func syncFolder(root *os.Root) error {
	folder, err := root.Open(".")
	if err != nil {
		return fmt.Errorf("sync the folder: %w", err)
	}

	if err := errors.Join(folder.Sync(), folder.Close()); err != nil {
		return fmt.Errorf("sync the folder: %w", err)
	}

	return nil
}
