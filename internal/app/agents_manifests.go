package app

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing/fstest"

	"go.yaml.in/yaml/v3"

	"github.com/serinhq/serin/internal/agentspec"
)

// maxManifest is the most bytes of a file that is read for Istio's objects; agents' files have a bound of their own.
const maxManifest = 4 << 20

// manifests are files of one folder, as a file system in which Istio's objects are blank: what is left are agents and tool
// servers, at the lines where they are.
type manifests struct {
	fs.FS

	dir    string
	names  []string
	blank  fstest.MapFS
	istio  []*istioDocument
	others bool
}

// readManifests reads the files of folders, and files by themselves, one manifests for each folder.
func readManifests(paths []string) (all []*manifests, problems agentspec.Problems) {
	byFolder := map[string]*manifests{}

	for _, path := range paths {
		dir, names, err := yamlFiles(path)
		if err != nil {
			problems = append(problems, agentspec.Problem{File: path, Message: err.Error()})

			continue
		}

		folder := byFolder[dir]
		if folder == nil {
			folder = &manifests{FS: os.DirFS(filepath.Clean(dir)), dir: dir, blank: fstest.MapFS{}}
			byFolder[dir] = folder
			all = append(all, folder)
		}

		for _, name := range names {
			if slices.Contains(folder.names, name) {
				continue
			}

			if err := folder.read(name); err != nil {
				problems = append(problems, agentspec.Problem{File: filepath.Join(dir, name), Message: err.Error()})
			}
		}
	}

	return all, problems
}

// yamlFiles returns a folder and the files of it that are meant.
func yamlFiles(path string) (dir string, names []string, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", nil, unreadable(err)
	}

	if !info.IsDir() {
		dir, name := filepath.Split(path)

		return dir, []string{name}, nil
	}

	entries, err := os.ReadDir(path)
	if err != nil {
		return "", nil, unreadable(err)
	}

	for _, entry := range entries {
		name := entry.Name()
		if ext := filepath.Ext(name); (ext == ".yaml" || ext == ".yml") && !strings.HasPrefix(name, ".") && !entry.IsDir() {
			names = append(names, name)
		}
	}

	if len(names) == 0 {
		return "", nil, errors.New("no *.yaml or *.yml files here")
	}

	return path, names, nil
}

// unreadable cuts the path, which the problem has already.
func unreadable(err error) error {
	if at, ok := errors.AsType[*fs.PathError](err); ok {
		err = at.Err
	}

	return errors.New("can't be read: " + err.Error())
}

// separator begins a document, wherever it stands.
var separator = regexp.MustCompile(`(?m)^---(\s|$)`)

// read takes Istio's objects out of a file.
func (m *manifests) read(name string) error {
	info, err := fs.Stat(m.FS, name) // before it is opened: opening a pipe waits for its writer
	if err != nil {
		return unreadable(err)
	}

	m.names = append(m.names, name)

	if !info.Mode().IsRegular() || info.Size() > maxManifest {
		m.others = true // whoever reads agents says what is wrong with it

		return nil
	}

	data, err := fs.ReadFile(m.FS, name)
	if err != nil {
		return unreadable(err)
	}

	starts := []int{0}
	for _, at := range separator.FindAllIndex(data, -1) {
		starts = append(starts, at[0])
	}

	rest := bytes.Clone(data)

	for i, start := range starts {
		end := len(data)
		if i+1 < len(starts) {
			end = starts[i+1]
		}

		// The document at its own lines.
		text := append(bytes.Repeat([]byte("\n"), bytes.Count(data[:start], []byte("\n"))), data[start:end]...)

		switch document := newIstioDocument(filepath.Join(m.dir, name), text); {
		case document != nil:
			m.istio = append(m.istio, document)
			erase(rest[start:end])
		case !isEmpty(text):
			m.others = true
		}
	}

	m.blank[name] = &fstest.MapFile{Data: rest, Mode: info.Mode()}

	return nil
}

// erase leaves the lines but nothing on them, except where the document begins.
func erase(text []byte) {
	text = bytes.TrimPrefix(text, []byte("---"))
	for i, c := range text {
		if c != '\n' {
			text[i] = ' '
		}
	}
}

func isEmpty(text []byte) bool {
	node := &yaml.Node{}

	return yaml.Unmarshal(text, node) == nil && (len(node.Content) == 0 || node.Content[0].Tag == "!!null")
}

// Open opens a file without Istio's objects.
func (m *manifests) Open(name string) (fs.File, error) {
	if m.blank[name] != nil {
		return m.blank.Open(name) //nolint:wrapcheck // a file system's own errors are what its readers know
	}

	return m.FS.Open(name) //nolint:wrapcheck // as above
}

// Stat looks at a file without opening it.
func (m *manifests) Stat(name string) (fs.FileInfo, error) {
	if m.blank[name] != nil {
		return m.blank.Stat(name) //nolint:wrapcheck // as above
	}

	return fs.Stat(m.FS, name) //nolint:wrapcheck // as above
}

// ReadDir lists the files that are meant.
func (m *manifests) ReadDir(name string) ([]fs.DirEntry, error) {
	entries, err := fs.ReadDir(m.FS, name)
	if name != "." || err != nil {
		return entries, err //nolint:wrapcheck // as above
	}

	return slices.DeleteFunc(entries, func(entry fs.DirEntry) bool { return !slices.Contains(m.names, entry.Name()) }), nil
}
