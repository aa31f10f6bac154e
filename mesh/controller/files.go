package controller

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/serinhq/serin/internal/agentspec"
)

const (
	// settles is how long a change must have lasted: editors write in more than one go.
	settles = 50 * time.Millisecond
	// longestFile is how much of a file is looked at; longer ones are refused when they are loaded.
	longestFile = 2 << 20
)

// files is a folder, or a file, that declares agents; it is read when its contents change.
type files struct {
	path string
	// last are the contents when they were read last; nil before.
	last map[string][sha256.Size]byte
}

// Forget has the files be read again.
func (s *files) Forget() { s.last = nil }

// Read returns what the files declare, if something changed since the last time and has not changed for a moment; else nil.
func (s *files) Read(ctx context.Context) (*Declarations, error) {
	folder := s.open()
	if s.last != nil && !s.changed(ctx, folder) {
		return nil, nil //nolint:nilnil // no news
	}

	seen := &recorder{FS: folder, contents: map[string][sha256.Size]byte{}}
	set, err := agentspec.LoadFS(seen, s.dir())
	s.last = seen.contents

	if err != nil {
		return nil, err
	}

	return &Declarations{Agents: set.Agents, Servers: set.Servers, Place: func(agent string) string {
		return set.Origin(agentspec.KindAgent, agent).File
	}}, nil
}

// changed reports whether what was read is other than it was, and stays so.
func (s *files) changed(ctx context.Context, folder fs.FS) bool {
	first := s.print(folder)
	if maps.Equal(first, s.last) {
		return false
	}

	return sleep(ctx, settles) && maps.Equal(first, s.print(folder))
}

// print reads what was read last, and what the folder lists now.
func (s *files) print(folder fs.FS) map[string][sha256.Size]byte {
	seen := &recorder{FS: folder, contents: map[string][sha256.Size]byte{}}

	_, _ = seen.ReadDir(".") // what can't be read has no content, and says so when it is loaded
	for _, name := range slices.Sorted(maps.Keys(s.last)) {
		if name != "." {
			seen.note(name)
		}
	}

	return seen.contents
}

// dir is the folder that the files are in.
func (s *files) dir() string {
	if info, err := os.Stat(s.path); err == nil && !info.IsDir() {
		return filepath.Dir(s.path)
	}

	return s.path
}

func (s *files) open() fs.FS {
	dir := s.dir()
	if dir == s.path {
		return os.DirFS(dir)
	}

	return oneFile{FS: os.DirFS(dir), name: filepath.Base(s.path)}
}

// oneFile is a folder that lists one of its files only.
type oneFile struct {
	fs.FS

	name string
}

// Stat describes a file without opening it.
func (o oneFile) Stat(name string) (fs.FileInfo, error) {
	return fs.Stat(o.FS, name) //nolint:wrapcheck // agentspec says what can't be read
}

// ReadDir lists the file.
func (o oneFile) ReadDir(string) ([]fs.DirEntry, error) {
	info, err := fs.Stat(o.FS, o.name)
	if err != nil {
		return nil, err //nolint:wrapcheck // agentspec says what can't be read
	}

	return []fs.DirEntry{fs.FileInfoToDirEntry(info)}, nil
}

// recorder is a folder that remembers what was looked at in it.
type recorder struct {
	fs.FS

	contents map[string][sha256.Size]byte
}

// Stat describes a file without opening it, and remembers its content, or that it has none.
func (r *recorder) Stat(name string) (fs.FileInfo, error) {
	r.note(name)

	return fs.Stat(r.FS, name) //nolint:wrapcheck // agentspec says what can't be read
}

// ReadDir lists the folder and remembers the names.
func (r *recorder) ReadDir(name string) ([]fs.DirEntry, error) {
	entries, err := fs.ReadDir(r.FS, name)

	names := make([]string, len(entries))
	for i, entry := range entries {
		names[i] = entry.Name()
	}

	text, _ := json.Marshal(names) // strings always marshal
	r.contents[name] = sha256.Sum256(text)

	return entries, err //nolint:wrapcheck // agentspec says what can't be read
}

// note remembers what a file holds; the zero digest if it can't be read.
func (r *recorder) note(name string) {
	r.contents[name] = [sha256.Size]byte{}

	if info, err := fs.Stat(r.FS, name); err != nil || !info.Mode().IsRegular() {
		return // opening a pipe would wait for its writer
	}

	file, err := r.Open(name)
	if err != nil {
		return
	}
	defer file.Close() //nolint:errcheck // nothing was written

	hash := sha256.New()
	if _, err := io.Copy(hash, io.LimitReader(file, longestFile)); err == nil {
		r.contents[name] = [sha256.Size]byte(hash.Sum(nil))
	}
}
