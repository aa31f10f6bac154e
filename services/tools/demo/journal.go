package demo

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
)

// journal is a file of JSON lines that only grows. A line that Append returned for survives the process and the machine.
type journal[T any] struct {
	path string
	mu   sync.Mutex
}

func newJournal[T any](directory, name string) *journal[T] {
	return &journal[T]{path: filepath.Join(directory, name)}
}

// append adds one line and waits for the disk.
func (j *journal[T]) append(entry T) (err error) {
	line, err := json.Marshal(entry)
	if err != nil {
		return fmt.Errorf("encoding: %w", err)
	}

	j.mu.Lock()
	defer j.mu.Unlock()

	file, err := os.OpenFile(j.path, os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("opening the journal: %w", err)
	}

	defer func() { err = errors.Join(err, file.Close()) }()

	line = append(line, '\n')
	if isTorn(file) {
		line = append([]byte("\n"), line...)
	}

	// One write, so that two processes don't mix their lines.
	if _, err := file.Write(line); err != nil {
		return fmt.Errorf("writing the journal: %w", err)
	}

	if err := file.Sync(); err != nil {
		return fmt.Errorf("syncing the journal: %w", err)
	}

	return nil
}

// isTorn reports whether a file ends in a line that is not whole, as after a crash of the machine.
func isTorn(file *os.File) bool {
	info, err := file.Stat()
	if err != nil || info.Size() == 0 {
		return false
	}

	last := make([]byte, 1)
	_, err = file.ReadAt(last, info.Size()-1)

	return err == nil && last[0] != '\n'
}

// all returns the entries in order. A line that is not whole is left out.
func (j *journal[T]) all() ([]T, error) {
	j.mu.Lock()
	defer j.mu.Unlock()

	data, err := os.ReadFile(j.path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("reading the journal: %w", err)
	}

	var entries []T

	for line := range bytes.Lines(data) {
		var entry T
		if json.Unmarshal(line, &entry) == nil {
			entries = append(entries, entry)
		}
	}

	return entries, nil
}
