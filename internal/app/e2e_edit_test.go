package app_test

import (
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	conversationv1 "github.com/serinhq/serin/gen/serin/conversation/v1"
	rolloutv1 "github.com/serinhq/serin/gen/serin/rollout/v1"
	"github.com/serinhq/serin/internal/app"
)

const listSlots = "Which appointment slots are free?"

// Editing an agent's file starts a rollout by itself, also while nothing runs; conversations keep what they began with.
func TestEditStartsARollout(t *testing.T) {
	dir := ownFolder(t)
	p := startPlatform(t, func(config *app.PlatformConfig) { config.Agents = dir })

	before := p.rollout("scheduling")
	old := p.newConversation()
	p.send(old, listSlots)

	// What is no behaviour changes nothing.
	edit(t, dir, "scheduling.yaml", "kind: Agent", "kind: Agent # unchanged")
	edit(t, dir, "triage.yaml", "spec:", "spec:\n  scaling: {minReplicas: 3}")

	// What is invalid is told, and changes nothing.
	edit(t, dir, "billing.yaml", "  model:", "  modell:")
	eventually(t, "the mistake is told", func() bool {
		return slices.ContainsFunc(p.problems(), func(problem string) bool { return strings.Contains(problem, "modell") })
	})

	unmoved := func(agents ...string) {
		t.Helper()

		for _, agent := range agents {
			if found := p.rollout(agent); found.GetPhase() != rolloutv1.Phase_PHASE_IDLE || found.GetAttempt() != before.GetAttempt() {
				t.Errorf("without a change of behaviour %s is %v", agent, found)
			}
		}
	}

	unmoved("triage", "billing", "scheduling")
	edit(t, dir, "billing.yaml", "  modell:", "  model:")
	eventually(t, "the mistake is gone", func() bool { return len(p.problems()) == 0 })

	// A line of a prompt is behaviour.
	edit(t, dir, "scheduling.yaml", "offer at most three", "offer at most two")
	candidate := p.awaitRollout("scheduling", "at its first step", func(found *rolloutv1.Rollout) bool {
		return found.GetPhase() == rolloutv1.Phase_PHASE_PROGRESSING && found.GetAppliedWeight() == 5
	}).GetCandidate()

	unmoved("triage", "billing") // the folder was taken as it is now

	if p.rollout("scheduling").GetStable() != before.GetStable() {
		t.Error("the stable revision changed")
	}

	p.steer("scheduling", "promote", &rolloutv1.PromoteRolloutRequest{Full: true})
	p.awaitRollout("scheduling", "promoted", settled(rolloutv1.Phase_PHASE_SUCCEEDED, candidate))

	fresh := p.newConversation()
	p.send(fresh, listSlots)
	p.send(old, listSlots)

	if got := p.revisionsOf(fresh, "scheduling"); !slices.Equal(got, []string{candidate}) {
		t.Errorf("a new conversation met %v, want %s", got, candidate)
	}

	if got := p.revisionsOf(old, "scheduling"); !slices.Equal(got, []string{before.GetStable()}) {
		t.Errorf("the old conversation met %v, want only %s", got, before.GetStable())
	}

	// An edit between two starts is one too; what was promoted stays.
	p.stop()
	edit(t, dir, "scheduling.yaml", "offer at most two", "offer exactly one")
	p.start()

	p.awaitRollout("scheduling", "at its first step", func(found *rolloutv1.Rollout) bool {
		return found.GetPhase() == rolloutv1.Phase_PHASE_PROGRESSING && found.GetStable() == candidate
	})
	p.send(old, listSlots)

	if got := p.revisionsOf(old, "scheduling"); !slices.Equal(got, []string{before.GetStable()}) {
		t.Errorf("after a restart the old conversation met %v, want only %s", got, before.GetStable())
	}
}

// A revision may do what it declares from its first conversation on: the mesh and the tools are told before it gets any.
// Other agents still may not.
func TestNewRevisionMayDoWhatItDeclares(t *testing.T) {
	dir := ownFolder(t)
	p := startPlatform(t, func(config *app.PlatformConfig) { config.Agents = dir })

	edit(t, dir, "scheduling.yaml", "  tools:", "  handoffs: [{agent: billing}]\n  tools:\n    - name: calculator")
	candidate := p.awaitRollout("scheduling", "at its first step", func(found *rolloutv1.Rollout) bool {
		return found.GetPhase() == rolloutv1.Phase_PHASE_PROGRESSING && found.GetAppliedWeight() == 5
	}).GetCandidate()

	p.steer("scheduling", "setWeight", &rolloutv1.SetWeightRequest{Weight: 100})
	p.awaitRollout("scheduling", "at 100%", carries(candidate, 100))

	turn := p.send(p.newConversationWith("scheduling"), listInvoices)
	if !slices.Equal(turn.GetPath(), []string{"scheduling", "billing"}) {
		t.Errorf("the turn went %v, want on to billing: %v", turn.GetPath(), turn)
	}

	turn = p.send(p.newConversationWith("scheduling"), "Please calculate 49 + 15")
	if !strings.Contains(turn.GetText(), "64") {
		t.Errorf("the new tool was not used: %v", turn)
	}
}

const greeter = `apiVersion: serin.dev/v1alpha1
kind: Agent
metadata: {name: NAME}
spec:
  entry: true
  description: Greets people.
  prompt: {inline: "Greet people."}
`

// Where an agent is not declared any more, the one that meets new conversations takes its conversations as well.
func TestRemovedAgentsConversationsGoOn(t *testing.T) {
	dir := t.TempDir()
	declare := func(name string) {
		path := filepath.Join(dir, "agent.yaml")
		if err := os.WriteFile(path, []byte(strings.ReplaceAll(greeter, "NAME", name)), 0o600); err != nil {
			t.Fatal(err)
		}
	}

	declare("greeter")

	p := startPlatform(t, func(config *app.PlatformConfig) { config.Agents = dir })
	conversation := p.newConversation()
	p.send(conversation, "Hello!")

	declare("host")

	eventually(t, "the new agent is known", func() bool {
		status, _ := p.call(http.MethodGet, "/v1/rollouts/host", nil)

		return status == http.StatusOK
	})

	eventually(t, "the conversation goes on with it", func() bool {
		turn := p.send(conversation, "Hello!")

		return turn.GetState() == conversationv1.TurnState_TURN_STATE_COMPLETED && turn.GetAgent() == "host"
	})
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()

	for deadline := time.Now().Add(patience); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}
