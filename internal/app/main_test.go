package app_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// binary is the product, built once for all tests that run it; with the race detector if the tests have it.
var binary string

func TestMain(m *testing.M) {
	os.Exit(runTests(m))
}

func runTests(m *testing.M) int {
	dir, err := os.MkdirTemp("", "serin-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)

		return 1
	}
	defer os.RemoveAll(dir)

	binary = filepath.Join(dir, "serin")
	arguments := []string{"build", "-o", binary}

	if raceEnabled {
		arguments = append(arguments, "-race")
	}

	build := exec.Command("go", append(arguments, "../..")...)
	if output, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build: %v\n%s", err, output)

		return 1
	}

	return m.Run()
}
