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

// binary is the product, built once for all tests that run it.
var binary string

// racedBinary is the product with the race detector, if the tests have it.
var racedBinary = sync.OnceValues(func() (string, error) {
	if !raceEnabled {
		return binary, nil
	}

	path := filepath.Join(filepath.Dir(binary), "serin-raced")

	return path, build(path, "-race")
})

// raced has every process of a platform watched by the race detector, if the tests are; what it finds in one of them fails
// the test. Processes start and run ten times slower with it, so one test of each kind of work asks for it.
func raced(tb testing.TB) func(*app.PlatformConfig) {
	tb.Helper()

	path, err := racedBinary()
	if err != nil {
		tb.Fatal(err)
	}

	found := filepath.Join(tb.TempDir(), "race")

	tb.Cleanup(func() {
		reports, _ := filepath.Glob(found + ".*")
		for _, report := range reports {
			text, err := os.ReadFile(report)
			tb.Errorf("a process of the platform has a data race: %s %v", text, err)
		}
	})

	return func(config *app.PlatformConfig) {
		config.Executable = path
		config.ExtraEnv = append(config.ExtraEnv, "GORACE=log_path="+found)
	}
}

// underLoad keeps tests that take minutes out of the quick run.
func underLoad(tb testing.TB) {
	tb.Helper()

	if testing.Short() {
		tb.Skip("load takes minutes; it runs without -short")
	}
}

func TestMain(m *testing.M) {
	if journal := os.Getenv(effectsVariable); journal != "" {
		os.Exit(serveEffects(journal))
	}

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

	if err = build(binary); err != nil {
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
