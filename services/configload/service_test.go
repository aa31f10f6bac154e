package configload

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"

	"github.com/serinhq/serin/internal/agentspec"
	"github.com/serinhq/serin/internal/fault"
)

const declared = `apiVersion: serin.dev/v1alpha1
kind: Agent
metadata: {name: billing}
spec:
  description: Bills.
  tools: [{name: clock}]
`

func TestPartsAndAgentAreLaidOut(t *testing.T) {
	t.Parallel()

	server := store(t, map[string]http.HandlerFunc{"/prompt": text(prompt), "/guardrails": text("input: [{name: length, maxLength: 9}]\n")})
	config := trusting(t, server)
	config.Prompt = pinned(server.URL+"/prompt", prompt)
	config.Guardrails = pinned(server.URL+"/guardrails", "input: [{name: length, maxLength: 9}]\n")
	config.Agent = place(t, "billing.yaml", declared)

	first, err := run(t, config)
	if err != nil {
		t.Fatal(err)
	}

	if got := read(t, config, "guardrails.json"); got != `{"input":[{"maxLength":9,"name":"length"}]}`+"\n" {
		t.Errorf("guardrails: %s", got)
	}

	// It is what an agent's process loads.
	agent, err := agentspec.LoadResolved(filepath.Join(config.Out, AgentFile), first.Revision)
	if err != nil || agent.Spec.Prompt.Inline != prompt || agent.Spec.Tools[0].Name != "clock" ||
		agent.Spec.Guardrails.Input[0].MaxLength != 9 {
		t.Errorf("%+v, %v", agent, err)
	}

	// Again, with the revision that came out; a file that someone has changed is put right, the others are left alone.
	config.Revision = first.Revision[:12]

	if err := os.WriteFile(filepath.Join(config.Out, AgentFile), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}

	again, err := run(t, config)
	if err != nil {
		t.Fatal(err)
	}

	for _, loaded := range again.Files {
		if loaded.Changed != (loaded.Part == "agent") {
			t.Errorf("%s changed: %t", loaded.Part, loaded.Changed)
		}
	}

	left, err := os.ReadDir(config.Out)
	if err != nil || len(left) != 3 {
		t.Errorf("in the folder: %v, %v", left, err)
	}

	// Another revision is refused before anything changes.
	config.Prompt, config.Unpinned = Source{URL: server.URL + "/guardrails"}, true

	if _, err := run(t, config); !fault.Is(err, "REVISION_MISMATCH") || read(t, config, "system-prompt.txt") != prompt {
		t.Errorf("another revision: %v", err)
	}
}

func TestResolvedAgentsAreCopied(t *testing.T) {
	t.Parallel()

	agent := agentspec.Agent{APIVersion: agentspec.APIVersion, Kind: agentspec.KindAgent, Metadata: agentspec.Metadata{Name: "billing"}}
	agent.Spec.Description, agent.Spec.Prompt.Inline = "Bills.", "You bill.\x7f"

	data, err := agentspec.MarshalResolved(agent)
	if err != nil {
		t.Fatal(err)
	}

	config := trusting(t)
	config.Agent, config.Revision = place(t, "agent.json", string(data)), agentspec.Revision(agent)

	if _, err := run(t, config); err != nil || read(t, config, AgentFile) != string(data) {
		t.Error(err)
	}
}

// A mounted ConfigMap is a folder of links to a folder that a link leads to.
func TestMountedConfigMapsAreRead(t *testing.T) {
	t.Parallel()

	mounted := t.TempDir()
	for _, err := range []error{
		os.Mkdir(filepath.Join(mounted, "..2026"), 0o700),
		os.WriteFile(filepath.Join(mounted, "..2026", "prompt.txt"), []byte(prompt), 0o600),
		os.Symlink("..2026", filepath.Join(mounted, "..data")),
		os.Symlink("..data/prompt.txt", filepath.Join(mounted, "prompt.txt")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}

	config := trusting(t)
	config.Prompt.URL = "file://" + mounted

	if _, err := run(t, config); err != nil || read(t, config, "system-prompt.txt") != prompt {
		t.Error(err)
	}

	if err := os.WriteFile(filepath.Join(mounted, "prompt.md"), []byte(prompt), 0o600); err != nil {
		t.Fatal(err)
	}

	config.Out = filepath.Join(t.TempDir(), "config")
	refused(t, config, codes.InvalidArgument, "the folder has prompt.txt and prompt.md: name the one that is meant")

	config.Tools, config.Prompt = Source{URL: mounted}, Source{}
	refused(t, config, codes.NotFound, "tools: file://"+mounted+": the folder has no tools.json, tools.yaml, tools.yml")

	config.Tools.URL = "/dev/null"
	refused(t, config, codes.InvalidArgument, "not a regular file")
}

func TestWhatCanNotBeWrittenIsToldAndTidied(t *testing.T) {
	t.Parallel()

	config := trusting(t)
	config.Prompt.URL, config.Tools.URL = place(t, "prompt.txt", prompt), place(t, "tools.json", "[]")

	// In the way of what is written second.
	if err := os.MkdirAll(filepath.Join(config.Out, "tools.json", "in the way"), 0o700); err != nil {
		t.Fatal(err)
	}

	_, err := run(t, config)
	if fault.CodeOf(err) != codes.FailedPrecondition || !strings.Contains(err.Error(), "out: "+config.Out+": put tools.json into its place") {
		t.Errorf("got %v", err)
	}

	left, _ := filepath.Glob(filepath.Join(config.Out, ".*.new"))
	if len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestLinksInTheFolderLeadNowhereElse(t *testing.T) {
	t.Parallel()

	victim := place(t, "victim.txt", "mine")
	config := trusting(t)
	config.Prompt.URL = place(t, "prompt.txt", prompt)

	for _, err := range []error{
		os.Mkdir(config.Out, 0o700),
		os.Symlink(victim, filepath.Join(config.Out, "system-prompt.txt")),
		os.Symlink(victim, filepath.Join(config.Out, ".system-prompt.txt.new")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}

	if _, err := run(t, config); err != nil || read(t, config, "system-prompt.txt") != prompt {
		t.Error(err)
	}

	if data, err := os.ReadFile(victim); err != nil || string(data) != "mine" {
		t.Errorf("the link was followed: %q, %v", data, err)
	}
}

func TestNothingIsWrittenOnceTheRunHasEnded(t *testing.T) {
	t.Parallel()

	config := trusting(t)
	config.Prompt.URL = place(t, "prompt.txt", prompt)

	service, err := New(config)
	if err != nil {
		t.Fatal(err)
	}

	ctx, cancel := context.WithCancel(t.Context())
	cancel()

	if _, err := service.Run(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}

	if _, err := os.Stat(config.Out); err == nil {
		t.Error("something was written")
	}
}
