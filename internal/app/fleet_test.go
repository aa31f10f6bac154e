package app

import (
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc/codes"

	workloadv1 "github.com/serinhq/serin/gen/serin/workload/v1"
	"github.com/serinhq/serin/internal/agentspec"
	"github.com/serinhq/serin/internal/fault"
	"github.com/serinhq/serin/internal/supervise"
)

// newFleet is that of a platform whose processes are not run.
func newFleet(t *testing.T) *fleet {
	t.Helper()

	data, err := openDataDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}

	t.Cleanup(func() { _ = data.Close() })

	platform := &Platform{
		config: PlatformConfig{Replicas: 1},
		data:   data, set: &agentspec.Set{}, logger: slog.New(slog.DiscardHandler), supervisor: supervise.New(supervise.Config{}),
	}
	platform.fleet = openFleet(platform)

	return platform.fleet
}

// exampleFleet asks for the example agent billing.
func exampleFleet(t *testing.T) *workloadv1.ApplyRequest {
	t.Helper()

	set, err := loadExamples(filepath.Join(t.TempDir(), "agents"))
	if err != nil {
		t.Fatal(err)
	}

	billing, _ := set.Agent("billing")

	resolved, err := agentspec.MarshalResolved(billing)
	if err != nil {
		t.Fatal(err)
	}

	return &workloadv1.ApplyRequest{Agents: []*workloadv1.Agent{{
		Name: "billing", Declaration: string(resolved),
		Revisions: []*workloadv1.Revision{{Revision: agentspec.Revision(billing), Declaration: string(resolved)}},
	}}}
}

func TestWhatCouldNotBeKeptIsAppliedAgain(t *testing.T) {
	f, request := newFleet(t), exampleFleet(t)
	catalogue := f.platform.data.join("run", "catalogue.json")

	if err := os.MkdirAll(filepath.Join(catalogue, "in the way"), 0o700); err != nil {
		t.Fatal(err)
	}

	if err := f.apply(request); err == nil {
		t.Fatal("no catalogue could be written, and nothing was said")
	}

	if err := os.RemoveAll(catalogue); err != nil {
		t.Fatal(err)
	}

	if err := f.apply(request); err != nil {
		t.Fatal(err)
	}

	if known, _, err := readCatalogue(catalogue); err != nil || !known.knows("billing") {
		t.Errorf("the catalogue is %+v, %v", known, err)
	}
}

func TestFleetOfAnotherForm(t *testing.T) {
	f, request := newFleet(t), exampleFleet(t)

	if err := f.apply(request); err != nil {
		t.Fatal(err)
	}

	if again := openFleet(f.platform); len(again.declared.members(1)) != 1 {
		t.Errorf("after a restart there is %v", again.declared)
	}

	if err := writeFile(f.path(), []byte(`{"agents": [{"name": "billing", "revisions": [{"revision": "?"}]}]}`)); err != nil {
		t.Fatal(err)
	}

	again := openFleet(f.platform)
	if len(again.declared.members(1)) != 0 {
		t.Errorf("what can't be read is %v", again.declared)
	}

	if err := again.apply(request); err != nil || len(again.declared.members(1)) != 1 {
		t.Errorf("the controller's word does not count: %v, %v", again.declared, err)
	}
}

func TestRevisionOfAnotherAgentIsRefused(t *testing.T) {
	f, request := newFleet(t), exampleFleet(t)
	request.Agents[0].Name = "serin-gateway"

	if err := f.apply(request); fault.CodeOf(err) != codes.InvalidArgument {
		t.Errorf("billing under another name: %v", err)
	}
}

func TestProcessesThatCannotBeStartedAreTold(t *testing.T) {
	f, request := newFleet(t), exampleFleet(t)
	if err := f.apply(request); err != nil {
		t.Fatal(err)
	}

	_, told := f.failures()
	name := processName("billing", agentspec.Short(request.GetAgents()[0].GetRevisions()[0].GetRevision()))
	f.tell(map[string]string{name: "no port is free"})

	select {
	case <-told:
	default:
		t.Error("nobody was told")
	}

	failed, _ := f.failures()
	if len(failed) != 1 || failed[0].GetAgent() != "billing" || failed[0].GetReady() || failed[0].GetProblem() != "no port is free" {
		t.Errorf("what failed is %v", failed)
	}
}

// Turns that were running when the platform stopped must not fail before it is known again which agents there are.
func TestAgentsAreNotUnknownBeforeTheyAreKnown(t *testing.T) {
	var agents atomic.Pointer[catalogue]

	dial := (&workload{}).knownAgent(&agents)

	agents.Store(&catalogue{})

	if _, err := dial("billing"); fault.CodeOf(err) != codes.Unavailable {
		t.Errorf("without a catalogue: %v", err)
	}

	agents.Store(&catalogue{Agents: []agentEntry{{Name: "triage"}}})

	if _, err := dial("billing"); fault.CodeOf(err) != codes.NotFound {
		t.Errorf("not in the catalogue: %v", err)
	}
}

// TestNobodyIsSentToARetrieverThatLeaves: its address is nobody's soon.
func TestNobodyIsSentToARetrieverThatLeaves(t *testing.T) {
	fleet := newFleet(t)
	spec := agentspec.Agent{Metadata: agentspec.Metadata{Name: "librarian"}}
	spec.Spec.Retriever = &agentspec.Retriever{Documents: []agentspec.Documents{{Folder: "handbook"}}}

	name := retrieverName(spec)
	fleet.running[name] = &plannedWorkload{addresses: map[string]string{"retriever": "127.0.0.1:9090"}}

	if address, err := fleet.retrieverOf(spec); address != "127.0.0.1:9090" || err != nil {
		t.Errorf("one that runs: %q, %v", address, err)
	}

	fleet.mark(name, true)

	if address, err := fleet.retrieverOf(spec); err == nil {
		t.Errorf("one that leaves: %q", address)
	}
}
