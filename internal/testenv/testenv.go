// Package testenv says what a test needs from the machine: it skips with a line that names what to install, and fails
// where the environment demands that nothing be skipped.
package testenv

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// RequireVariable lists, separated by commas, what must be there: a test that needs it and does not find it fails
// instead of being skipped. "all" means everything.
const RequireVariable = "SERIN_TEST_REQUIRE"

// need is something that a machine may lack.
type need struct {
	// present returns why it is not there, or nil.
	present func() error
	// hint says how to get it.
	hint string
}

func needs() map[string]need {
	return map[string]need{
		"cc":         {anyCommand("cc", "gcc", "clang"), "install a C compiler, such as gcc (apt-get install gcc)"},
		"curl":       {anyCommand("curl"), "install curl (apt-get install curl)"},
		"docker":     {anyCommand("docker", "podman"), "install docker or podman"},
		"git":        {anyCommand("git"), "install git (apt-get install git)"},
		"jq":         {anyCommand("jq"), "install jq (apt-get install jq)"},
		"kubectl":    {anyCommand("kubectl"), "install kubectl (https://kubernetes.io/docs/tasks/tools)"},
		"make":       {anyCommand("make"), "install make (apt-get install make)"},
		"node":       {anyCommand("node"), "install Node.js 20 or later (https://nodejs.org)"},
		"npm":        {anyCommand("npm"), "install Node.js 20 or later with npm (https://nodejs.org)"},
		"npx":        {anyCommand("npx"), "install Node.js 20 or later with npm (https://nodejs.org)"},
		"openssl":    {anyCommand("openssl"), "install OpenSSL (apt-get install openssl)"},
		"postgres":   {func() error { _, err := postgresBinaries(); return err }, postgresHint},
		"prometheus": {anyCommand("prometheus"), "install Prometheus (apt-get install prometheus)"},
		"python3":    {anyCommand("python3"), "install Python 3 (apt-get install python3)"},
		"redis":      {anyCommand("redis-server", "valkey-server"), "install Redis (apt-get install redis-server)"},
		"root":       {isRoot, "run the tests as root (sudo)"},
	}
}

// Require skips the test unless all of what is there; it fails instead if SERIN_TEST_REQUIRE names what is missing.
func Require(tb testing.TB, what ...string) {
	tb.Helper()

	for _, name := range what {
		need, known := needs()[name]
		if !known {
			tb.Fatalf("testenv: nothing is known about %q", name)
		}

		if err := need.present(); err != nil {
			stop(tb, name, fmt.Sprintf("needs %s: %v; to run this test, %s", name, err, need.hint))
		}
	}
}

// RequireFile is Require for something made beforehand, such as an installed npm package: name is what
// SERIN_TEST_REQUIRE calls it, hint says how to make it.
func RequireFile(tb testing.TB, name, path, hint string) {
	tb.Helper()

	if _, err := os.Stat(path); err != nil {
		stop(tb, name, fmt.Sprintf("needs %s: %v; to run this test, %s", name, err, hint))
	}
}

func stop(tb testing.TB, name, message string) {
	tb.Helper()

	if demanded(os.Getenv(RequireVariable), name) {
		tb.Fatalf("%s (%s does not allow skipping it)", message, RequireVariable)
	}

	tb.Skip(message)
}

// demanded reports whether a value of SERIN_TEST_REQUIRE lists the name.
func demanded(list, name string) bool {
	names := strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' })

	return slices.Contains(names, "all") || slices.Contains(names, name)
}

func anyCommand(names ...string) func() error {
	return func() error {
		for _, name := range names {
			if _, err := exec.LookPath(name); err == nil {
				return nil
			}
		}

		return fmt.Errorf("%s not found in PATH", strings.Join(names, " or "))
	}
}

func isRoot() error {
	if os.Geteuid() != 0 {
		return errors.New("not root")
	}

	return nil
}
