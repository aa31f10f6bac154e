package demo

import (
	"bufio"
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

	file, err := os.OpenFile(j.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("opening the journal: %w", err)
	}

	defer func() { err = errors.Join(err, file.Close()) }()

	// One write, so that two processes don't mix their lines.
	if _, err := file.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("writing the journal: %w", err)
	}

	if err := file.Sync(); err != nil {
		return fmt.Errorf("syncing the journal: %w", err)
	}

	return nil
}

// all returns the entries in order. A line that is not whole, as after a crash, is left out.
func (j *journal[T]) all() ([]T, error) {
	j.mu.Lock()
	defer j.mu.Unlock()

	file, err := os.Open(j.path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}

	if err != nil {
		return nil, fmt.Errorf("opening the journal: %w", err)
	}
	defer file.Close() //nolint:errcheck // it was only read

	var entries []T

	lines := bufio.NewScanner(file)
	for lines.Scan() {
		var entry T
		if json.Unmarshal(lines.Bytes(), &entry) == nil {
			entries = append(entries, entry)
		}
	}

	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("reading the journal: %w", err)
	}

	return entries, nil
}
