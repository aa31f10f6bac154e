package agentspec

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// maxFile is the most bytes that a file, or a prompt's file, may have.
const maxFile = 1 << 20

// Load reads the agents and tool servers of a folder (its *.yaml and *.yml files, without those of its folders and
// without hidden ones) or of one file. What it returns is valid, defaulted and resolved. The error is [Problems], all of
// them at once.
func Load(dir string) (*Set, error) {
	info, err := os.Stat(dir)
	if err != nil {
		return nil, Problems{{File: dir, Message: reason(err)}}
	}

	if info.IsDir() {
		return LoadFS(os.DirFS(dir), dir)
	}

	folder, name := filepath.Split(dir)

	return load(os.DirFS(filepath.Clean(folder)), folder, []string{name})
}

// LoadFS is [Load] of a file system's root. Problems name files below dir.
func LoadFS(fsys fs.FS, dir string) (*Set, error) {
	entries, err := fs.ReadDir(fsys, ".")
	if err != nil {
		return nil, Problems{{File: dir, Message: reason(err)}}
	}

	names := []string{}

	for _, entry := range entries {
		name := entry.Name()
		if ext := path.Ext(name); (ext == ".yaml" || ext == ".yml") && !strings.HasPrefix(name, ".") && !entry.IsDir() {
			names = append(names, name)
		}
	}

	if len(names) == 0 {
		return nil, Problems{{File: dir, Message: "no *.yaml or *.yml files here"}}
	}

	return load(fsys, dir, names)
}

func load(fsys fs.FS, dir string, names []string) (*Set, error) {
	var (
		documents []*document
		problems  Problems
	)

	for _, name := range names {
		data, err := read(fsys, name)
		if err != nil {
			problems = append(problems, Problem{File: filepath.Join(dir, name), Message: reason(err)})

			continue
		}

		found, bad := parse(filepath.Join(dir, name), data)
		documents, problems = append(documents, found...), append(problems, bad...)
	}

	for _, doc := range documents {
		if doc.agent != nil {
			resolveHere(fsys, doc)
			findDocuments(fsys, doc)
		} else {
			readOpenAPI(fsys, doc)
		}
	}

	problems = append(problems, together(documents, len(problems) == 0)...)
	for _, doc := range documents {
		problems = append(problems, doc.report.all()...)
	}

	if len(problems) > 0 {
		return nil, problems.Sorted()
	}

	return newSet(documents), nil
}

// newSet makes a set out of documents that have no problems.
func newSet(documents []*document) *Set {
	set := &Set{Agents: []Agent{}, Servers: []MCPServer{}, origins: map[string]*report{}}

	for _, doc := range documents {
		set.origins[doc.kind()+"/"+doc.meta().Name] = doc.report

		if doc.agent != nil {
			set.Agents = append(set.Agents, *doc.agent)
		} else {
			set.Servers = append(set.Servers, *doc.server)
		}
	}

	slices.SortFunc(set.Agents, func(a, b Agent) int { return strings.Compare(a.Metadata.Name, b.Metadata.Name) })
	slices.SortFunc(set.Servers, func(a, b MCPServer) int { return strings.Compare(a.Metadata.Name, b.Metadata.Name) })

	for i, agent := range set.Agents {
		set.Agents[i] = set.Resolve(agent)
	}

	return set
}

// read returns the bytes of a regular file of at most maxFile bytes.
func read(fsys fs.FS, name string) ([]byte, error) {
	info, err := fs.Stat(fsys, name) // before it is opened: opening a pipe waits for its writer
	if err != nil {
		return nil, fmt.Errorf("can't be read: %w", err)
	}

	if !info.Mode().IsRegular() {
		return nil, errors.New("not a regular file")
	}

	file, err := fsys.Open(name)
	if err != nil {
		return nil, fmt.Errorf("can't be read: %w", err)
	}
	defer file.Close() //nolint:errcheck // nothing was written

	data, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("can't be read: %w", err)
	}

	if len(data) > maxFile {
		return nil, fmt.Errorf("more than %d bytes, which is the most that a file may have", maxFile)
	}

	return data, nil
}

// reason cuts what the message says already.
func reason(err error) string {
	if at, ok := errors.AsType[*fs.PathError](err); ok {
		return "can't be read: " + at.Err.Error()
	}

	return err.Error()
}
