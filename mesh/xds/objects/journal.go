package objects

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

const (
	journalFile = "objects.journal"
	lockFile    = "objects.lock"
	// smallest is the size in bytes below which a journal is never rewritten.
	smallest = 1 << 20
)

// journal is the file that holds the objects: its writes are appended, and now and then it is written anew with only
// what is still true. It is guarded by the Store's writing.
type journal struct {
	path string
	lock *os.File
	file *os.File
	// size is that of what was acknowledged; rewriteAt the size at which it is worth rewriting.
	size, rewriteAt int64
	// rewriting says that a rewrite is under way; pending are the lines appended since it began.
	rewriting bool
	pending   [][]byte
}

// openJournal reads the journal of a directory, or begins one whose first version is given. Nobody else can open it
// until it is closed or its process has ended.
func openJournal(dir string, first uint64, steps map[int]migration) (_ *journal, c contents, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, c, fmt.Errorf("making the directory of objects: %w", err)
	}

	j := &journal{path: filepath.Join(dir, journalFile)}
	if j.lock, err = lock(filepath.Join(dir, lockFile)); err != nil {
		return nil, c, err
	}

	defer func() {
		if err != nil {
			err = errors.Join(err, j.close())
		}
	}()

	data, err := os.ReadFile(j.path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, c, fmt.Errorf("reading the journal of objects: %w", err)
	}

	if c, err = read(data, steps); err != nil {
		return nil, c, fmt.Errorf("%s cannot be read: %w; bring back a copy of it, or move it away to start with no objects", j.path, err)
	}

	if c.header.Format == 0 || c.migrated {
		return j, c, j.begin(&c, first)
	}

	return j, c, j.resume(c)
}

// begin writes a journal where there is none, or none of this format.
func (j *journal) begin(c *contents, first uint64) error {
	if c.header.Format == 0 {
		c.header.Version = first
	}

	c.header.Format = format

	lines, err := lines(c.header, c.records)
	if err != nil {
		return err
	}

	file, err := j.write(lines)
	if err != nil {
		return err
	}

	return j.swap(file, lines)
}

// resume goes on after the last good line.
func (j *journal) resume(c contents) (err error) {
	if j.file, err = os.OpenFile(j.path, os.O_RDWR, 0o600); err != nil {
		return fmt.Errorf("opening the journal of objects: %w", err)
	}

	if err := j.file.Truncate(c.size); err != nil {
		return fmt.Errorf("cutting off an unfinished write: %w", err)
	}

	j.grown(c.size)

	return nil
}

// grown sets the size after the journal was read or rewritten.
func (j *journal) grown(size int64) {
	j.size, j.rewriteAt = size, max(4*size, smallest)
}

// append makes a record durable against the end of the process.
func (j *journal) append(r record) error {
	text, err := line(r)
	if err != nil {
		return err
	}

	// At the acknowledged size rather than at the end: what a failed write left behind is overwritten, and as it has
	// no newline, what sticks out is read as a write that was cut off.
	if _, err := j.file.WriteAt(text, j.size); err != nil {
		return errors.Join(err, j.file.Truncate(j.size))
	}

	j.size += int64(len(text))

	if j.rewriting {
		j.pending = append(j.pending, text)
	}

	return nil
}

// close lets go of the files; it can be called on a journal that was not opened to the end.
func (j *journal) close() error {
	var errs []error

	for _, file := range []*os.File{j.file, j.lock} {
		if file != nil {
			errs = append(errs, file.Close())
		}
	}

	return errors.Join(errs...)
}

// lock takes a file for this process, until it is closed or the process ends.
func lock(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600) //nolint:gosec // the path is configuration
	if err != nil {
		return nil, fmt.Errorf("locking the directory of objects: %w", err)
	}

	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = file.Close()

		return nil, fmt.Errorf("%s is held by another process that keeps objects there; stop it first: %w", path, err)
	}

	return file, nil
}
