package app

import (
	"context"
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
		{"listener", "", `SERIN_HEALTH_DEGRADE "listener": this process can go without: llm, tools`},
		{"identity,llm", "", `SERIN_HEALTH_DEGRADE "identity": this process can go without: llm, tools`},
		{"lmm", "", `SERIN_HEALTH_DEGRADE "lmm": this process can go without: llm, tools`},
	} {
		t.Run(test.told, func(t *testing.T) {
			work := &workload{env: &Env{Getenv: func(name string) string {
				return map[string]string{degradeVariable: test.told}[name]
			}}}
			fine := func(context.Context) error { return nil }

			checks, err := work.degrade([]health.Check{
				{Name: "identity", Func: fine}, {Name: "listener", Func: fine}, {Name: "llm", Func: fine}, {Name: "tools", Func: fine},
			})
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

			if got := strings.Join(informative, " "); err != nil || got != test.informative || len(checks) != 4 {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
}
