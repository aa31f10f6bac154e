package tools

import (
	"cmp"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	toolsv1 "github.com/serinhq/serin/gen/serin/tools/v1"
	"github.com/serinhq/serin/internal/agentspec"
	"github.com/serinhq/serin/internal/testenv"
)

// everythingVariable names the entry of the npm package @modelcontextprotocol/server-everything, if it is not where
// "npm ci" in testdata/node puts it.
const everythingVariable = "SERIN_EVERYTHING"

// everything makes the house's server the one that MCP's makers test clients with, as a process of its own.
func everything(t *testing.T) func(*Config) {
	t.Helper()

	entry := everythingEntry(t)

	return func(config *Config) {
		config.Servers = []agentspec.MCPServer{{
			Metadata: agentspec.Metadata{Name: "everything"},
			Spec:     agentspec.MCPServerSpec{Command: []string{"node", entry, "stdio"}},
		}}
		config.Grants = map[string][]agentspec.Tool{"billing": {{Name: "everything_*"}}}
		config.StopGrace = 2 * time.Second
	}
}

// everythingOverWeb starts that server behind HTTP, and has the house reach it there.
func everythingOverWeb(t *testing.T) func(*Config) {
	t.Helper()

	entry, address := everythingEntry(t), testenv.FreePort(t)
	_, port, _ := strings.Cut(address, ":")

	server := exec.Command("node", entry, "streamableHttp")
	server.Env, server.Stderr = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "PORT=" + port}, t.Output()

	if err := server.Start(); err != nil {
		t.Fatal(err)
	}

	t.Cleanup(func() {
		_ = server.Process.Kill()
		_ = server.Wait()
	})

	return func(config *Config) {
		config.Servers = []agentspec.MCPServer{{
			Metadata: agentspec.Metadata{Name: "everything"},
			Spec:     agentspec.MCPServerSpec{URL: "http://localhost:" + port + "/mcp", AllowPrivate: true},
		}}
		config.Grants = map[string][]agentspec.Tool{"billing": {{Name: "everything_*"}}}
	}
}

func everythingEntry(t *testing.T) string {
	t.Helper()
	testenv.Require(t, "node")

	entry, err := filepath.Abs(cmp.Or(os.Getenv(everythingVariable),
		"testdata/node/node_modules/@modelcontextprotocol/server-everything/dist/index.js"))
	if err != nil {
		t.Fatal(err)
	}

	testenv.RequireFile(t, "node", entry, "run: npm ci --prefix services/tools/testdata/node")

	return entry
}

func TestEverythingServer(t *testing.T) {
	t.Run("stdio", func(t *testing.T) { testEverythingServer(t, everything(t)) })
	t.Run("streamable HTTP", func(t *testing.T) { testEverythingServer(t, everythingOverWeb(t)) })
}

func testEverythingServer(t *testing.T, server func(*Config)) {
	t.Helper()

	house := newHouse(t, server)
	tools := house.move()

	listed, err := tools.client.ListTools(as(t.Context(), "billing"), &toolsv1.ListToolsRequest{})
	if err != nil {
		t.Fatal(err)
	}

	for _, want := range []string{"everything_echo", "everything_get-sum", "everything_trigger-long-running-operation", "everything_get-structured-content"} {
		if !slices.Contains(names(listed.GetTools()), want) {
			t.Errorf("%s is not among %v", want, names(listed.GetTools()))
		}
	}

	for _, test := range []struct{ tool, arguments, output string }{
		{"everything_echo", `{"message":"hello"}`, "Echo: hello"},
		{"everything_get-sum", `{"a":2,"b":40}`, "The sum of 2 and 40 is 42."},
		{"everything_get-structured-content", `{"location":"Chicago"}`, `"temperature":`},
		{"everything_get-tiny-image", `{}`, "[image image/png, "},
	} {
		got := tools.execute(test.tool, test.tool, test.arguments)
		wantOutcome(t, got, ok)

		if !strings.Contains(got.result.GetOutput(), test.output) {
			t.Errorf("%s = %q, want %q", test.tool, got.result.GetOutput(), test.output)
		}
	}

	wantOutcome(t, tools.execute("bad", "everything_get-sum", `{"a":"two"}`), failure)

	long := tools.execute("long", "everything_trigger-long-running-operation", `{"duration":0.4,"steps":4}`)
	wantOutcome(t, long, ok)

	if len(long.progress) == 0 || long.progress[0].GetTotal() != 4 {
		t.Errorf("progress %v", long.progress)
	}
}

func TestEverythingServerIsRestarted(t *testing.T) {
	house := newHouse(t, everything(t))
	tools := house.move()
	server := tools.service.catalog.servers["everything"].(*server)

	first, err := server.live(t.Context())
	if err != nil {
		t.Fatal(err)
	}

	// It dies while it works; reading and waiting may be done again, and is.
	running := tools.goExecute(t.Context(), "again", "everything_trigger-long-running-operation", `{"duration":2,"steps":4}`)
	eventually(t, "the call runs", func() bool { return house.store.row("again").started == 1 })

	if err := syscall.Kill(first.peer.(processPeer).process.command.Process.Pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}

	wantOutcome(t, <-running, ok)

	second, err := server.live(t.Context())
	if err != nil || second == first {
		t.Errorf("after the kill: %v, the same session: %t", err, second == first)
	}
}
