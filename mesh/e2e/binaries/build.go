package binaries

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Program is a Go program to build, always from the source as it is now: the go command's cache makes that quick.
type Program struct {
	// Name is the file's name.
	Name string
	// Dir is a directory in the module to build in; empty means the repository's root, whose main package is serin.
	Dir string
	// Package is what to build; empty means the package in Dir.
	Package string
}

// Serin is the product.
func Serin() Program { return Program{Name: "serin"} }

// Build builds the program into the directory.
func (p Program) Build(ctx context.Context, into string) error {
	dir := p.Dir

	if dir == "" {
		source, err := sourceDir(ctx)
		if err != nil {
			return err
		}

		dir = filepath.Join(source, "..", "..")
	}

	pkg := p.Package
	if pkg == "" {
		pkg = "."
	}

	var output bytes.Buffer
	if err := goBuild(ctx, dir, filepath.Join(into, p.Name), &output, pkg); err != nil {
		return fmt.Errorf("build %s: %w\n%s", p.Name, err, output.String())
	}

	return nil
}

// goBuild builds into a file that is only there once it is whole.
func goBuild(ctx context.Context, dir, path string, output io.Writer, args ...string) error {
	half := path + ".half"

	build := exec.CommandContext(ctx, "go", append([]string{"build", "-o", half}, args...)...)
	build.Dir = dir
	build.Stdout, build.Stderr = output, output
	build.Cancel = func() error { return build.Process.Signal(os.Interrupt) }

	if err := build.Run(); err != nil {
		return errors.Join(err, os.RemoveAll(half))
	}

	if err := os.Rename(half, path); err != nil {
		return fmt.Errorf("put the built program in its place: %w", err)
	}

	return nil
}

// sourceDir is where this module's source is.
func sourceDir(ctx context.Context) (string, error) {
	list := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", module)

	out, err := list.Output()
	if err != nil {
		return "", fmt.Errorf("find module %s from the working directory, which must lie in it: %w", module, err)
	}

	return strings.TrimSpace(string(out)), nil
}
