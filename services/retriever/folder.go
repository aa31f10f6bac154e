package retriever

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"time"
)

const (
	// maxFolders is how deep a folder is looked through; it ends links that lead in a circle.
	maxFolders = 32
	// maxEntries is how many files and folders are looked at.
	maxEntries = 100_000
)

// stamp tells versions of a file apart without reading it.
type stamp struct {
	size    int64
	changed time.Time
}

// file is a document in a folder.
type file struct {
	// name is the document's, path that below the folder.
	name, path string
	stamp      stamp
}

// files lists a folder's documents in the order of their names. Links are followed within the folder: that is how
// Kubernetes mounts a ConfigMap, as links to a hidden folder that is replaced as a whole.
func (f Folder) files() ([]file, error) {
	root, err := os.OpenRoot(f.Path)
	if err != nil {
		return nil, fmt.Errorf("folder %s: %w", f.Name, err)
	}
	defer root.Close() //nolint:errcheck // only read

	walk := &walk{folder: f, root: root.FS()}
	if err := walk.enter(".", 0); err != nil {
		return nil, fmt.Errorf("folder %s: %w", f.Name, err)
	}

	slices.SortFunc(walk.found, func(a, b file) int { return strings.Compare(a.name, b.name) })

	return walk.found, nil
}

type walk struct {
	folder  Folder
	root    fs.FS
	entries int
	found   []file
}

var errTooMany = fmt.Errorf("more than %d files and folders", maxEntries)

func (w *walk) enter(folder string, depth int) error {
	entries, err := fs.ReadDir(w.root, folder)
	if err != nil {
		return err //nolint:wrapcheck // it names the folder
	}

	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), ".") {
			continue
		}

		if w.entries++; w.entries > maxEntries {
			return errTooMany
		}

		below := path.Join(folder, entry.Name())

		info, err := fs.Stat(w.root, below)
		if err != nil { // it has gone meanwhile, or is a link that leads nowhere, or out
			continue
		}

		switch {
		case info.IsDir() && depth < maxFolders:
			if err := w.enter(below, depth+1); err != nil && (errors.Is(err, errTooMany) || !errors.Is(err, fs.ErrNotExist)) {
				return err
			}
		case info.Mode().IsRegular():
			w.found = append(w.found, file{
				name: path.Join(w.folder.Name, below), path: below, stamp: stamp{size: info.Size(), changed: info.ModTime()},
			})
		}
	}

	return nil
}

// errMoving says that a file changed while it was read.
var errMoving = errors.New("it changes while it is read")

// read returns a file's bytes, or one more than most of them.
func (f Folder) read(one file, most int64) ([]byte, error) {
	root, err := os.OpenRoot(f.Path)
	if err != nil {
		return nil, fmt.Errorf("open the folder: %w", err)
	}
	defer root.Close() //nolint:errcheck // only read

	open, err := root.Open(one.path)
	if err != nil {
		return nil, fmt.Errorf("open it: %w", err)
	}
	defer open.Close() //nolint:errcheck // only read

	data, err := io.ReadAll(io.LimitReader(open, most+1))
	if err != nil {
		return nil, fmt.Errorf("read it: %w", err)
	}

	info, err := root.Stat(one.path)
	if err != nil {
		return nil, fmt.Errorf("read it: %w", err)
	}

	if (stamp{size: info.Size(), changed: info.ModTime()}) != one.stamp {
		return nil, errMoving
	}

	return data, nil
}
