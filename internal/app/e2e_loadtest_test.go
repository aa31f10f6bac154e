package app_test

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/serinhq/serin/loadtest"
)

// The commands, as a user types them, against a whole platform.
func TestLoadtestRun(t *testing.T) {
	underLoad(t)

	p := startPlatform(t)

	for _, test := range []struct {
		scenario string
		flags    []string
	}{
		{"steady", []string{"--rate", "5", "--duration", "2s"}},
		{"ramp", []string{"--rate", "1", "--peak", "8", "--duration", "2s"}},
		{"spike", []string{"--rate", "2", "--peak", "10", "--duration", "2s"}},
		{"canary", []string{
			"--canary", "billing", "--weight", "50", "--conversations", "15", "--rate", "8", "--think", "300ms", "--repeats", "1",
			"--settle", "1s", "--max-open", "24", "--bar", "abort-p99=1h", // how fast it is says nothing on a busy machine
		}},
	} {
		t.Run(test.scenario, func(t *testing.T) {
			outer := p.t
			defer func() { p.t = outer }()

			p.t = t
			report := p.loadtest(test.scenario, test.flags...)
			p.unharmed(report)

			sent := 3 * report.Conversations.Started
			if sent == 0 || report.Turns.Sent != report.Turns.Completed || report.Latency.Count() != int64(report.Turns.Sent) ||
				test.scenario != "canary" && report.Turns.Sent != sent {
				t.Errorf("%+v %+v", report.Conversations, report.Turns)
			}

			if test.scenario == "canary" && (len(report.Shares) != 2 || len(report.Aborts) != 2) {
				t.Errorf("shares %v, aborts %v", report.Shares, report.Aborts)
			}
		})
	}

	if found := p.rollout("billing"); found.GetCandidate() != "" {
		t.Errorf("a candidate stayed behind: %v", found)
	}
}

// loadtest runs `serin loadtest run` with its bars, and reads what it wrote.
func (p *testPlatform) loadtest(scenario string, flags ...string) *loadtest.Report {
	p.t.Helper()

	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()

	page := filepath.Join(p.t.TempDir(), "page.html")
	command := exec.CommandContext(ctx, p.config.Executable, append([]string{
		"loadtest", "run", scenario, "--url", p.url, "--turns", "3", "--seed", "1", "--bar", "failed=0", "--html", page, "-q", "-o", "json",
	}, flags...)...)

	output, err := command.Output()
	if err != nil {
		p.t.Fatalf("%v: %s", err, output)
	}

	report := &loadtest.Report{}
	if err := json.Unmarshal(output, report); err != nil {
		p.t.Fatal(err)
	}

	html, err := os.ReadFile(page)
	if err != nil || !strings.Contains(string(html), "<svg") || !strings.Contains(string(html), "<title>"+scenario) {
		p.t.Errorf("the page is not right: %v", err)
	}

	return report
}
