package app_test

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/serinhq/serin/internal/app"
)

// content is of a user's message, of what a tool and the agent answer, and of what the agent is told.
var content = []string{"plughxyzzy", "INV-1", "Never answer about money from memory"}

// TestContentStays looks for what was said in everything that leaves processes by themselves.
func TestContentStays(t *testing.T) {
	collector, traced := startCollector(t)
	p := startPlatform(t, traced, func(config *app.PlatformConfig) { config.LogLevel = "debug" })
	sayContent(t, p)

	pages := p.pages()
	p.stop()

	for _, words := range content {
		if collector.has(words) {
			t.Errorf("%q is in a span", words)
		}

		if bytes.Contains(pages, []byte(words)) {
			t.Errorf("%q is in the metrics", words)
		}

		if log := p.logWith(words); log != "" {
			t.Errorf("%q is in %s", words, log)
		}
	}

	if len(collector.all()) == 0 || len(pages) == 0 {
		t.Fatal("there was nothing to look at")
	}
}

// TestContentLeavesIfAskedFor is what keeps the test before from looking for what nobody says.
func TestContentLeavesIfAskedFor(t *testing.T) {
	collector, traced := startCollector(t, "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT=true")
	p := startPlatform(t, traced, func(config *app.PlatformConfig) { config.LogLevel = "debug" })
	sayContent(t, p)

	pages := p.pages()
	p.stop()

	for _, words := range content {
		if !collector.has(words) {
			t.Errorf("%q is in no span", words)
		}

		if bytes.Contains(pages, []byte(words)) || p.logWith(words) != "" {
			t.Errorf("%q is in the metrics or in the log %s", words, p.logWith(words))
		}
	}

	for _, key := range []string{
		"gen_ai.system_instructions", "gen_ai.input.messages", "gen_ai.output.messages", "gen_ai.tool.call.arguments", "gen_ai.tool.call.result",
	} {
		if len(collector.having(func(one span) bool { return one.attribute(key) != "" })) == 0 {
			t.Errorf("no span has %s", key)
		}
	}
}

// sayContent runs a turn that has all of the content in it.
func sayContent(t *testing.T, p *testPlatform) {
	t.Helper()

	turn := p.send(p.newConversation(), listInvoices+" plughxyzzy")
	if turn.GetError() != nil {
		t.Fatalf("turn %v", turn)
	}
}

func (c *collector) has(words string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()

	for _, body := range c.raw {
		if bytes.Contains(body, []byte(words)) {
			return true
		}
	}

	return false
}

// pages are the metrics of all workloads.
func (p *testPlatform) pages() []byte {
	p.t.Helper()

	var all []byte

	for _, workload := range p.platform.Summary().Workloads {
		response, err := http.Get(workload.Pages + "/metrics")
		if err != nil {
			p.t.Fatal(err)
		}

		page, err := io.ReadAll(response.Body)
		response.Body.Close()

		if err != nil {
			p.t.Fatal(err)
		}

		all = append(all, page...)
	}

	return all
}

// logWith is a log that has the words in it; empty if none has.
func (p *testPlatform) logWith(words string) string {
	p.t.Helper()

	logs, err := filepath.Glob(filepath.Join(p.config.Data, "logs", "*"))
	if err != nil || len(logs) == 0 {
		p.t.Fatalf("logs: %v %v", logs, err)
	}

	for _, path := range logs {
		log, err := os.ReadFile(path)
		if err != nil {
			p.t.Fatal(err)
		}

		if bytes.Contains(log, []byte(words)) {
			return filepath.Base(path)
		}
	}

	return ""
}
