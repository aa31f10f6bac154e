package app_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	conversationv1 "github.com/serinhq/serin/gen/serin/conversation/v1"
	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
	"github.com/serinhq/serin/internal/app"
)

const librarian = `apiVersion: serin.dev/v1alpha1
kind: Agent
metadata: {name: librarian}
spec:
  entry: true
  description: Knows the handbook.
  prompt: {inline: "Answer from the handbook."}
  retriever: {documents: [{folder: handbook}]}
`

// An agent that declares documents has them looked up, notices when they change, and answers while its retriever is away.
func TestAgentsLookDocumentsUp(t *testing.T) {
	dir := t.TempDir()
	put := func(name, text string) {
		t.Helper()

		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}

		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}

	put("librarian.yaml", librarian)
	put("handbook/refunds.md", "# Refunds\n\nA refund takes ten days.\n")

	p := startPlatform(t, func(config *app.PlatformConfig) { config.Agents = dir })

	eventually(t, "the document is found", func() bool { // it has just been written, and may not be whole
		told := p.lookUp("How long does a refund take?")

		return slices.Equal(documentsOf(told), []string{"handbook/refunds.md"}) && told.GetProblem() == "" && told.GetRanking() == "text"
	})

	put("handbook/parking.md", "# Parking\n\nThe garage is in Mill Lane.\n")
	eventually(t, "the new document is found", func() bool {
		return slices.Equal(documentsOf(p.lookUp("Where is the garage?")), []string{"handbook/parking.md"})
	})

	retriever := ""

	for _, status := range p.platform.Statuses() {
		if strings.HasPrefix(status.Name, "librarian-retriever-") {
			retriever = status.Name
		}
	}

	p.signal(retriever, syscall.SIGSTOP)

	told := p.lookUp("Where is the garage?")
	if len(told.GetPassages()) != 0 || !strings.Contains(told.GetProblem(), "did not answer within 2s") {
		t.Errorf("without a retriever: %v", told)
	}

	p.signal(retriever, syscall.SIGCONT)
	p.kill(retriever)
	eventually(t, "another retriever answers", func() bool {
		return slices.Equal(documentsOf(p.lookUp("Where is the garage?")), []string{"handbook/parking.md"})
	})
}

// Replicas of a retriever accept at one address, each with an index of its own: whichever dies, documents are found.
func TestRetrieversHaveReplicas(t *testing.T) {
	dir := t.TempDir()

	for name, text := range map[string]string{"librarian.yaml": librarian, "handbook/refunds.md": "# Refunds\n\nA refund takes ten days.\n"} {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}

	p := startPlatform(t, func(config *app.PlatformConfig) { config.Agents, config.Replicas = dir, 2 })
	found := func() bool {
		return slices.Equal(documentsOf(p.lookUp("How long does a refund take?")), []string{"handbook/refunds.md"})
	}

	eventually(t, "the document is found", found)

	addresses := map[string]bool{}

	for _, workload := range p.platform.Summary().Workloads {
		if strings.HasPrefix(workload.Name, "librarian-retriever-") {
			addresses[workload.Address] = true

			if _, err := os.Stat(filepath.Join(p.config.Data, "retriever", workload.Name+".db")); err != nil {
				t.Errorf("%s has no index of its own: %v", workload.Name, err)
			}

			p.replace(workload.Name, syscall.SIGKILL)
			eventually(t, "the document is found without "+workload.Name, found)
		}
	}

	if len(addresses) != 1 {
		t.Errorf("the replicas listen at %v, want one address", addresses)
	}
}

// lookUp asks in a new conversation, which must get its answer, and returns what its log says of documents.
func (p *testPlatform) lookUp(text string) *eventv1.DocumentsRetrieved {
	p.t.Helper()

	conversation := p.newConversation()
	if turn := p.send(conversation, text); turn.GetState() != conversationv1.TurnState_TURN_STATE_COMPLETED {
		p.t.Fatalf("turn %v", turn)
	}

	for _, event := range p.events(conversation) {
		if told := event.GetDocumentsRetrieved(); told != nil {
			return told
		}
	}

	p.t.Fatal("the log says nothing of documents")

	return nil
}

func documentsOf(told *eventv1.DocumentsRetrieved) []string {
	names := make([]string, len(told.GetPassages()))
	for i, passage := range told.GetPassages() {
		names[i] = passage.GetDocument()
	}

	return names
}
