package gateway

import (
	"net/http"
	"strings"
	"testing"
	"time"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
)

// orphan makes a conversation whose agent is not there any more.
func (w *world) orphan() string {
	w.t.Helper()

	created, err := w.service.store.CreateConversation(w.t.Context(), &contextv1.CreateConversationRequest{
		RequestId: newID("create/"), Tenant: "default", User: "local", Agent: "retired",
	})
	if err != nil {
		w.t.Fatal(err)
	}

	return created.GetConversation().GetConversationId()
}

func TestEntryTakesOverFromARemovedAgent(t *testing.T) {
	w := newWorld(t)
	id := w.orphan()
	sent := time.Now()

	got := w.send(id, "hello", "Idempotency-Key", "k")
	if got.at("turn", "text") != "echo: hello" || got.at("turn", "agent") != "triage" {
		t.Fatalf("got %v", got.body)
	}

	accepted := w.store.log(id)[1].GetTurnAccepted()
	if accepted.GetAgent() != "triage" || accepted.GetBudget().GetSteps() != 7 {
		t.Errorf("accepted %v", accepted)
	}

	// triage has a minute, which is not the default
	if left := accepted.GetDeadline().AsTime().Sub(sent); left < time.Minute || left > 90*time.Second {
		t.Errorf("the deadline is %s away", left)
	}

	if again := w.send(id, "hello", "Idempotency-Key", "k"); again.at("turn", "turnId") != got.at("turn", "turnId") {
		t.Errorf("again %v", again.body)
	}

	w.send(id, "and now?")

	log := w.store.log(id)
	if next := log[len(log)-4].GetTurnAccepted(); next == nil || next.GetAgent() != "" {
		t.Errorf("the conversation has an agent again, but the next turn says %v", next)
	}
}

// While nobody takes over, an agent that is not declared any more goes on with its conversations as long as it runs; it
// gets no new ones.
func TestRemovedAgentThatRunsStill(t *testing.T) {
	w := newWorld(t, func(c *Config) {
		c.Agents[0].Entry = false
		c.Agents = append(c.Agents, Agent{Name: "retired", Leaving: true})
	})

	if got := w.send(w.orphan(), "hello"); got.at("turn", "agent") != "retired" {
		t.Errorf("got %d %v", got.status, got.body)
	}

	if got := w.do("POST", "/v1/conversations", `{"agent":"retired"}`); got.status != http.StatusBadRequest {
		t.Errorf("it gets new conversations: %d %v", got.status, got.body)
	}
}

func TestRemovedAgentWithoutAnEntry(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Agents[0].Entry = false })
	id := w.orphan()

	got := w.send(id, "hello")
	if got.at("error", "code") != "FAILED_PRECONDITION" || got.reason() != "AGENT_REMOVED" || got.at("error", "metadata", "agent") != "retired" {
		t.Errorf("got %d %v", got.status, got.body)
	}

	if message, _ := got.at("error", "message").(string); !strings.Contains(message, "open a new conversation") {
		t.Errorf("the user is told %q", message)
	}

	if log := w.store.log(id); len(log) != 1 {
		t.Errorf("something was appended: %v", log)
	}
}
