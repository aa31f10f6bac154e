package configload

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
)

// disk is what this machine has, mounted ConfigMaps among them. In a folder the part is what has one of its names.
type disk struct{ names []string }

func (d disk) fetch(_ context.Context, at *url.URL) ([]byte, error) {
	path := at.Path

	info, err := os.Stat(path) //nolint:gosec // the operator names it
	if err == nil && info.IsDir() {
		if path, err = d.within(path); err != nil {
			return nil, err
		}

		info, err = os.Stat(path)
	}

	if err != nil {
		return nil, unreadable(err)
	}

	if !info.Mode().IsRegular() { // opening a pipe would wait for its writer
		return nil, &wrongError{errors.New("not a regular file")}
	}

	file, err := os.Open(path) //nolint:gosec // the operator names it
	if err != nil {
		return nil, unreadable(err)
	}
	defer file.Close() //nolint:errcheck // only read

	data, err := io.ReadAll(io.LimitReader(file, maxPart+1))
	if err != nil {
		return nil, unreadable(err)
	}

	return data, nil
}

// within finds the part in a folder.
func (d disk) within(folder string) (string, error) {
	found := []string{}

	for _, name := range d.names {
		if _, err := os.Stat(filepath.Join(folder, name)); err == nil { //nolint:gosec // as above, and the name is ours
			found = append(found, name)
		}
	}

	switch len(found) {
	case 0:
		return "", &missingError{fmt.Errorf("the folder has no %s", strings.Join(d.names, ", "))}
	case 1:
		return filepath.Join(folder, found[0]), nil
	default:
		return "", &wrongError{fmt.Errorf("the folder has %s: name the one that is meant", strings.Join(found, " and "))}
	}
}

// unreadable says why a file can't be read, without the path, which is told already.
func unreadable(err error) error {
	cause := err
	if at, ok := errors.AsType[*fs.PathError](err); ok {
		cause = at.Err
	}

	if errors.Is(err, fs.ErrNotExist) {
		return &missingError{errors.New("no such file: want one that is there and readable")}
	}

	return &wrongError{fmt.Errorf("can't be read: %w", cause)}
}
