package app_test

import (
	"encoding/json"
	"os/exec"
	"testing"

	"github.com/serinhq/serin/loadtest"
)

// The command, as a user types it, against a whole platform.
func TestLoadtestRun(t *testing.T) {
	p := startPlatform(t)
	command := exec.CommandContext(t.Context(), binary, "loadtest", "run", "steady", "--url", p.url,
		"--rate", "5", "--duration", "2s", "--turns", "3", "--seed", "1", "--bar", "failed=0", "-q", "-o", "json")

	output, err := command.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, output)
	}

	report := &loadtest.Report{}
	if err := json.Unmarshal(output, report); err != nil {
		t.Fatal(err)
	}

	p.unharmed(report)

	sent := 3 * report.Conversations.Started
	if sent == 0 || report.Turns.Completed != sent || len(report.Revisions) != 3 || report.Latency.Count() != int64(sent) {
		t.Errorf("%s", output)
	}
}
