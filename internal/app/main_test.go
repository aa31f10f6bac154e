package app_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/serinhq/serin/internal/app"
)

// binary is the product, built once for all tests that run it; with the race detector if the tests have it.
var binary string

// quickBinary is the product without the race detector.
var quickBinary = sync.OnceValues(func() (string, error) {
	if !raceEnabled {
		return binary, nil
	}

	path := filepath.Join(filepath.Dir(binary), "serin-quick")

	return path, build(path)
})

// underLoad has a platform run without the race detector: under load it takes more than the machine has, and the same code
// runs with it in the other tests.
func underLoad(tb testing.TB) func(*app.PlatformConfig) {
	tb.Helper()

	if testing.Short() {
		tb.Skip("load takes minutes; it runs without -short")
	}

	quick, err := quickBinary()
	if err != nil {
		tb.Fatal(err)
	}

	return func(config *app.PlatformConfig) { config.Executable = quick }
}

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

	if raceEnabled {
		err = build(binary, "-race")
	} else {
		err = build(binary)
	}

	if err != nil {
		fmt.Fprintln(os.Stderr, err)

		return 1
	}

	return m.Run()
}

func build(path string, flags ...string) error {
	output, err := exec.Command("go", append(append([]string{"build", "-o", path}, flags...), "../..")...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("build: %w\n%s", err, output)
	}

	return nil
}
