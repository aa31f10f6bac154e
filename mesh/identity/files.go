package identity

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// The files of an identity's directory. They are links into a versioned directory, so that a reader who follows
// current once sees a certificate and a key that belong together.
const (
	SVIDFile   = "svid.pem"
	KeyFile    = "key.pem"
	BundleFile = "bundle.pem"

	current       = "..data"
	versionPrefix = "..v-"
)

// makePrivate makes a directory that only its owner may enter, or checks that an existing one is such.
func makePrivate(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("making the directory for keys: %w", err)
	}

	return checkPrivate(dir, 0o700)
}

// checkPrivate refuses a file or directory that others than its owner can use.
func checkPrivate(path string, want fs.FileMode) error {
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("checking permissions: %w", err)
	}

	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return fmt.Errorf("%s has permissions %04o but is for private keys, which others must not read; run: chmod %o %s",
			path, mode, want, path)
	}

	return nil
}

// publish makes files the current ones of dir: written to a new version first, then swapped in by one rename.
func publish(dir string, files map[string][]byte) error {
	if err := makePrivate(dir); err != nil {
		return err
	}

	version, err := os.MkdirTemp(dir, versionPrefix)
	if err != nil {
		return fmt.Errorf("writing a certificate: %w", err)
	}

	for name, data := range files {
		if err := os.WriteFile(filepath.Join(version, name), data, 0o600); err != nil {
			return fmt.Errorf("writing a certificate: %w", err)
		}
	}

	previous, _ := os.Readlink(filepath.Join(dir, current)) // there is none the first time

	if err := link(dir, current, filepath.Base(version)); err != nil {
		return err
	}

	for name := range files {
		if err := link(dir, name, filepath.Join(current, name)); err != nil {
			return err
		}
	}

	return prune(dir, filepath.Base(version), previous)
}

// link makes dir/name point to target, atomically.
func link(dir, name, target string) error {
	path := filepath.Join(dir, name)
	if now, err := os.Readlink(path); err == nil && now == target {
		return nil
	}

	fresh := path + ".new"
	if err := os.Remove(fresh); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("linking a certificate: %w", err)
	}

	if err := os.Symlink(target, fresh); err != nil {
		return fmt.Errorf("linking a certificate: %w", err)
	}

	if err := os.Rename(fresh, path); err != nil {
		return fmt.Errorf("linking a certificate: %w", err)
	}

	return nil
}

// prune removes all versions but those named; the previous one stays for readers who just followed the link to it.
func prune(dir string, keep ...string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("removing old certificates: %w", err)
	}

	for _, entry := range entries {
		if !strings.HasPrefix(entry.Name(), versionPrefix) || slices.Contains(keep, entry.Name()) {
			continue
		}

		if err := os.RemoveAll(filepath.Join(dir, entry.Name())); err != nil {
			return fmt.Errorf("removing old certificates: %w", err)
		}
	}

	return nil
}

// writeOnce writes a file that must not be there yet, durably and whole: [fs.ErrExist] if another process was faster.
func writeOnce(path string, data []byte) error {
	temp, err := os.CreateTemp(filepath.Dir(path), ".new-*") // mode 0600
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	defer os.Remove(temp.Name()) //nolint:errcheck // at worst a temporary file stays

	_, err = temp.Write(data)
	err = errors.Join(err, temp.Sync(), temp.Close())

	if err == nil {
		err = os.Link(temp.Name(), path) // unlike a rename it never replaces
	}

	if err == nil {
		err = syncDir(filepath.Dir(path))
	}

	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}

	return nil
}

func syncDir(dir string) error {
	handle, err := os.Open(dir) //nolint:gosec // the caller's own directory
	if err != nil {
		return fmt.Errorf("syncing a directory: %w", err)
	}

	return errors.Join(handle.Sync(), handle.Close())
}
