package app

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/serinhq/serin/internal/fault"
)

// dataDir is where `serin up` keeps everything: certificates, the database, revisions, logs.
type dataDir struct {
	path string
	lock *os.File
}

// openDataDir makes the directory if need be and locks it; the lock ends with the process, however it ends.
func openDataDir(path string) (*dataDir, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, unusable(path, err)
	}

	dir := &dataDir{path: path}
	for _, sub := range []string{"", "ca", "certs", "logs", "revisions", "retriever", "run", "demo"} {
		if err := os.MkdirAll(dir.join(sub), 0o700); err != nil {
			return nil, unusable(path, err)
		}
	}

	dir.lock, err = os.OpenFile(dir.join("run", "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, unusable(path, err)
	}

	if err := dir.take(); err != nil {
		_ = dir.lock.Close()

		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fault.New(codes.FailedPrecondition, "DATA_DIR_IN_USE",
				"--data %s is in use by another serin up; stop that one or choose another directory", path)
		}

		return nil, unusable(path, err)
	}

	return dir, nil
}

// takeover is how long the workloads of a supervisor that was killed may take to drain.
const takeover = 15 * time.Second

// take locks the directory. Workloads hold the lock together with their supervisor: if that was killed, they are about
// to end and are waited for; if it lives, there is nothing to wait for.
func (d *dataDir) take() error {
	for deadline := time.Now().Add(takeover); ; time.Sleep(100 * time.Millisecond) {
		err := syscall.Flock(int(d.lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return d.sign()
		}

		if !errors.Is(err, syscall.EWOULDBLOCK) || d.holderLives() || time.Now().After(deadline) {
			return err //nolint:wrapcheck // the caller tells what it means
		}
	}
}

// sign writes who holds the lock.
func (d *dataDir) sign() error {
	if err := d.lock.Truncate(0); err != nil {
		return err //nolint:wrapcheck // as above
	}

	_, err := d.lock.WriteAt([]byte(strconv.Itoa(os.Getpid())), 0)

	return err //nolint:wrapcheck // as above
}

// holderLives reports whether the supervisor that signed the lock is running.
func (d *dataDir) holderLives() bool {
	data, err := os.ReadFile(d.lock.Name())
	if err != nil {
		return true
	}

	pid, err := strconv.Atoi(string(data))

	return err != nil || !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH)
}

func unusable(path string, err error) error {
	return fault.New(codes.FailedPrecondition, "DATA_DIR_UNUSABLE",
		"--data %s can't be used: %w; choose a directory that you may write to", path, err)
}

func (d *dataDir) join(elements ...string) string {
	return filepath.Join(append([]string{d.path}, elements...)...)
}

func (d *dataDir) Close() error {
	return d.lock.Close() //nolint:wrapcheck // nothing to add
}

// writeFile replaces a file in one step, so that no reader and no crash ever sees half of it.
func writeFile(path string, data []byte) error {
	temporary, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer os.Remove(temporary.Name()) //nolint:errcheck // gone after the rename; else the error below says why

	if _, err = temporary.Write(data); err == nil {
		err = temporary.Sync()
	}

	if err = errors.Join(err, temporary.Close()); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}

	if err := os.Rename(temporary.Name(), path); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}

	return nil
}
