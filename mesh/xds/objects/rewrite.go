package objects

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// compact rewrites the journal in the background when most of it is no longer true. The caller holds writing.
func (s *Store) compact() {
	j := s.journal
	if j == nil || j.rewriting || j.size < j.rewriteAt {
		return
	}

	j.rewriting, j.pending = true, nil
	head, records := s.records()

	s.background.Go(func() { s.rewrite(head, records) })
}

// records are the objects as they are, to begin a journal with.
func (s *Store) records() (header, []record) {
	s.mu.Lock()
	defer s.mu.Unlock()

	var records []record

	for name := range s.kinds {
		for _, object := range s.state.list(name) {
			records = append(records, recordOf(put(nil, object)))
		}
	}

	return header{Format: format, Version: s.state.version}, records
}

// rewrite writes a new journal beside the old one, adds what was written meanwhile, and puts it in the old one's place.
func (s *Store) rewrite(head header, records []record) {
	text, err := lines(head, records)

	var file *os.File
	if err == nil {
		file, err = s.journal.write(text)
	}

	if err == nil {
		err = file.Sync() // most of it, while nobody waits
	}

	s.writing.Lock()
	defer s.writing.Unlock()

	if err == nil {
		err = s.journal.swap(file, append(text, s.journal.pending...))
	}

	if err != nil {
		s.config.Logger.Warn("the journal of objects cannot be rewritten; it goes on growing", "error", err)

		s.journal.rewriteAt = 2 * s.journal.size
	}

	s.journal.rewriting, s.journal.pending = false, nil
}

// lines are a journal's, from its header on.
func lines(head header, records []record) ([][]byte, error) {
	first, err := line(head)
	if err != nil {
		return nil, err
	}

	all := [][]byte{first}

	for _, record := range records {
		text, err := line(record)
		if err != nil {
			return nil, err
		}

		all = append(all, text)
	}

	return all, nil
}

// write writes lines to a new file beside the journal.
func (j *journal) write(lines [][]byte) (*os.File, error) {
	file, err := os.OpenFile(j.path+".new", os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("beginning a journal of objects: %w", err)
	}

	if _, err := file.Write(bytes.Join(lines, nil)); err != nil {
		return nil, errors.Join(fmt.Errorf("beginning a journal of objects: %w", err), file.Close())
	}

	return file, nil
}

// swap makes a file the journal. Of lines, it adds those that the file does not have yet.
func (j *journal) swap(file *os.File, lines [][]byte) error {
	whole := bytes.Join(lines, nil)

	written, err := file.Seek(0, 2)
	if err == nil {
		_, err = file.WriteAt(whole[written:], written)
	}

	if err == nil {
		err = j.replace(file)
	}

	if err != nil {
		return errors.Join(fmt.Errorf("replacing the journal of objects: %w", err), file.Close())
	}

	if j.file != nil {
		_ = j.file.Close() // nothing of it is left
	}

	j.file = file
	j.grown(int64(len(whole)))

	return nil
}

// replace renames a file to the journal. It must be on disk before: else the machine's death could leave neither the old
// journal nor the new one. Where there is no old one, there is nothing to lose.
func (j *journal) replace(file *os.File) error {
	_, err := os.Stat(j.path)
	if errors.Is(err, fs.ErrNotExist) {
		return os.Rename(file.Name(), j.path) //nolint:wrapcheck // the caller says what for
	}

	if err := file.Sync(); err != nil {
		return err //nolint:wrapcheck // as above
	}

	if err := os.Rename(file.Name(), j.path); err != nil {
		return err //nolint:wrapcheck // as above
	}

	syncDir(filepath.Dir(j.path))

	return nil
}

// syncDir makes a rename durable. If that fails, the machine's death may bring the old journal back, but both are whole.
func syncDir(path string) {
	dir, err := os.Open(path) //nolint:gosec // the path is configuration
	if err != nil {
		return
	}

	_, _ = dir.Sync(), dir.Close()
}
