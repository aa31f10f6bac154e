package app_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	conversationv1 "github.com/serinhq/serin/gen/serin/conversation/v1"
	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
	"github.com/serinhq/serin/internal/app"
)

const friend = `apiVersion: serin.dev/v1alpha1
kind: Agent
metadata: {name: friend}
spec:
  entry: true
  description: Talks.
  prompt: {inline: "Talk."}
  memory: {access: write, model: words}
`

// What a user says in one conversation is known in the next, found by words and by vectors, until it is deleted.
func TestAgentsRemember(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "friend.yaml"), []byte(friend), 0o600); err != nil {
		t.Fatal(err)
	}

	p := startPlatform(t, func(config *app.PlatformConfig) { config.Agents = dir })

	first, told := p.recall("Please remember that the invoice goes to Graz.")
	if len(told.GetMemories()) != 0 || told.GetProblem() != "" || told.GetRanking() != "hybrid" {
		t.Errorf("at first: %v", told)
	}

	if _, told := p.recall("Where do you send my bill?"); len(told.GetMemories()) != 1 {
		t.Errorf("in the next conversation: %v", told)
	}

	if list := p.memories("list", "-o", "json"); !strings.Contains(list, first) || !strings.Contains(list, `"agent": "friend"`) {
		t.Errorf("list: %s", list)
	}

	if found := p.memories("search", "graz"); !strings.Contains(found, "invoice goes to Graz") {
		t.Errorf("search: %s", found)
	}

	p.memories("add", "Has a cat.", "--ttl", "1d")

	p.serin(0, "conversations", "delete", first)

	if list := p.memories("list"); strings.Contains(list, "Graz") || !strings.Contains(list, "Has a cat.") {
		t.Errorf("after the deletion of the conversation: %s", list)
	}

	if gone := p.memories("delete", "--all"); gone != "deleted 1\n" {
		t.Errorf("deletion of all: %q", gone)
	}
}

// recall says something in a new conversation, whose turn must end well, and returns the conversation and what its log says
// of memories.
func (p *testPlatform) recall(text string) (string, *eventv1.MemoriesRecalled) {
	p.t.Helper()

	conversation := p.newConversation()
	if turn := p.send(conversation, text); turn.GetState() != conversationv1.TurnState_TURN_STATE_COMPLETED {
		p.t.Fatalf("turn %v", turn)
	}

	for _, event := range p.events(conversation) {
		if told := event.GetMemoriesRecalled(); told != nil {
			return conversation, told
		}
	}

	p.t.Fatal("the log says nothing of memories")

	return "", nil
}

func (p *testPlatform) memories(args ...string) string {
	p.t.Helper()

	stdout, _ := p.serin(0, append([]string{"memories"}, args...)...)

	return stdout
}
