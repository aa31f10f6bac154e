package app

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/serinhq/serin/internal/health"
)

func TestDegradingChecksAreNamed(t *testing.T) {
	for _, test := range []struct {
		told, informative, wrong string
	}{
		{"", "", ""},
		{"llm", "llm", ""},
		{"llm, tools", "llm tools", ""},
		{"database,tools", "tools", ""}, // this one has no database
		{"listener", "", `SERIN_HEALTH_DEGRADE "listener": what a process can go without is database, llm, redis, serin-context, tools`},
		{"llm,lmm", "", `SERIN_HEALTH_DEGRADE "lmm": what a process can go without is database, llm, redis, serin-context, tools`},
	} {
		t.Run(test.told, func(t *testing.T) {
			env := &Env{Getenv: func(name string) string { return map[string]string{degradeVariable: test.told}[name] }}
			fine := func(context.Context) error { return nil }
			work := &workload{env: env, config: &workloadConfig{}}

			checks, err := work.checks(&room{checks: []health.Check{{Name: "llm", Func: fine}, {Name: "tools", Func: fine}}}, nil)
			if test.wrong != "" {
				if err == nil || err.Error() != test.wrong || ExitCode(err) != exitUsage {
					t.Errorf("got %v", err)
				}

				return
			}

			informative := []string{}

			for _, check := range checks {
				if check.Informative {
					informative = append(informative, check.Name)
				}
			}

			if got := strings.Join(informative, " "); err != nil || got != test.informative {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
}

// What the platform is told reaches all of its processes, and a slip of the pen is told before any of them starts.
func TestThePlatformHandsDegradingOn(t *testing.T) {
	env := ProcessEnv()
	env.Getenv = func(name string) string { return map[string]string{degradeVariable: "lmm"}[name] }

	if _, err := OpenPlatform(env, PlatformConfig{Data: t.TempDir()}); ExitCode(err) != exitUsage || !strings.Contains(err.Error(), degradeVariable) {
		t.Errorf("got %v", err)
	}

	env.Environ = []string{degradeVariable + "=llm"}
	for _, room := range []string{"agent", "ambassador", "gateway"} {
		if got := (&Platform{env: env}).environment(room); !slices.Contains(got, degradeVariable+"=llm") {
			t.Errorf("%s is given %v", room, got)
		}
	}
}
