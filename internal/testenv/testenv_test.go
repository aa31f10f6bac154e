package testenv

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

// recorder is a test that only notes how it ended, by a panic of its own.
type recorder struct{ testing.TB }

type ended string

func (recorder) Helper() {}

func (recorder) Skip(args ...any) { panic(ended("skipped: " + fmt.Sprint(args...))) }

func (recorder) Fatalf(format string, args ...any) {
	panic(ended("failed: " + fmt.Sprintf(format, args...)))
}

// ending returns how the test ended, or nothing if it went on.
func ending(test func(testing.TB)) (how ended) {
	defer func() { how, _ = recover().(ended) }()

	test(recorder{})

	return ""
}

func TestDemanded(t *testing.T) {
	for list, want := range map[string]bool{
		"": false, "all": true, "node": true, "npm,node": true, "npm, node": true, "nodejs": false, "npm": false,
	} {
		if got := demanded(list, "node"); got != want {
			t.Errorf("%s=%q demands node: %v, want %v", RequireVariable, list, got, want)
		}
	}
}

func TestMissingThingsSkipOrFail(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "node_modules")

	for value, want := range map[string]string{"": "skipped", "all": "failed", "everything-server": "failed", "node": "skipped"} {
		t.Setenv(RequireVariable, value)

		how := string(ending(func(tb testing.TB) { RequireFile(tb, "everything-server", missing, "run: .ci/run") }))
		if !strings.HasPrefix(how, want) || !strings.Contains(how, "run: .ci/run") {
			t.Errorf("with %s=%q: %q, want %s and the hint", RequireVariable, value, how, want)
		}
	}
}

func TestPresentThingsLetTheTestRun(t *testing.T) {
	if how := ending(func(tb testing.TB) { RequireFile(tb, "here", t.TempDir(), "") }); how != "" {
		t.Errorf("ended: %s", how)
	}
}

func TestUnknownNameFails(t *testing.T) {
	how := ending(func(tb testing.TB) { Require(tb, "unobtainium") })
	if how != `failed: testenv: nothing is known about "unobtainium"` {
		t.Errorf("ended: %q", how)
	}
}

func TestEveryNeedHasAHint(t *testing.T) {
	for name, need := range needs() {
		if need.hint == "" || need.present == nil {
			t.Errorf("%s: nothing says how to get it", name)
		}
	}

	if err := anyCommand("surely-no-such-command")(); err == nil || errors.Unwrap(err) != nil {
		t.Errorf("anyCommand() = %v", err)
	}
}
