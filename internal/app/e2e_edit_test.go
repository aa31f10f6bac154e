package app_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	conversationv1 "github.com/serinhq/serin/gen/serin/conversation/v1"
	"github.com/serinhq/serin/internal/app"
)

const greeter = `apiVersion: serin.dev/v1alpha1
kind: Agent
metadata: {name: NAME}
spec:
  entry: true
  description: Greets people.
  prompt: {inline: "PROMPT"}
`

// An agent that is edited between two starts takes its conversations over, and the log says so; also back to what it was.
func TestEditedAgentTakesItsConversationsOver(t *testing.T) {
	dir := t.TempDir()
	write := func(name, prompt string) {
		text := strings.NewReplacer("NAME", name, "PROMPT", prompt).Replace(greeter)

		if err := os.WriteFile(filepath.Join(dir, "agent.yaml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}

	write("greeter", "Greet people.")
	p := startPlatform(t, func(config *app.PlatformConfig) { config.Agents = dir })
	conversation := p.newConversation()

	for i, prompt := range []string{"Greet people.", "Greet people warmly.", "Greet people."} {
		if i > 0 {
			p.stop()
			write("greeter", prompt)
			p.start()
		}

		if turn := p.send(conversation, "Hello!"); turn.GetState() != conversationv1.TurnState_TURN_STATE_COMPLETED {
			t.Fatalf("after edit %d the turn is %v\n%s", i, turn, transcript(p.events(conversation)))
		}
	}

	changes := 0

	for _, event := range p.events(conversation) {
		if event.GetRevisionChanged().GetCause() == "retired" {
			changes++
		}
	}

	if changes != 2 {
		t.Errorf("the log tells of %d changes of revision, want 2:\n%s", changes, transcript(p.events(conversation)))
	}

	// The agent goes; the one that meets new conversations takes this one as well.
	p.stop()
	write("host", "Greet people.")
	p.start()

	turn := p.send(conversation, "Hello!")
	if turn.GetState() != conversationv1.TurnState_TURN_STATE_COMPLETED || turn.GetAgent() != "host" {
		t.Errorf("without its agent the conversation's turn is %v", turn)
	}
}
