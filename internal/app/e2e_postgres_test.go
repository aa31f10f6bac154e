package app_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	conversationv1 "github.com/serinhq/serin/gen/serin/conversation/v1"
	"github.com/serinhq/serin/internal/app"
	"github.com/serinhq/serin/internal/rpc"
	"github.com/serinhq/serin/internal/testenv"
)

// The whole platform on PostgreSQL: turns with a handoff and a tool, over the death of the context store; no file with
// conversations, and no password where others can read it; deletion at the end.
func TestPlatformOnPostgres(t *testing.T) {
	database := testenv.OwnPostgres(t).Database(t, "")
	p := startPlatform(t, func(config *app.PlatformConfig) { config.Postgres = database })
	conversation := p.newConversation()

	for range 2 {
		if turn := p.send(conversation, listInvoices); turn.GetState() != conversationv1.TurnState_TURN_STATE_COMPLETED {
			t.Fatalf("the turn is %v; the log:\n%s", turn, transcript(p.events(conversation)))
		}

		p.kill(rpc.Context)
		p.waitReady()
	}

	if _, err := os.Stat(filepath.Join(p.config.Data, "serin.db")); !os.IsNotExist(err) {
		t.Errorf("there is a file of conversations beside the database: %v", err)
	}

	settings, err := os.ReadFile(filepath.Join(p.config.Data, "run", rpc.Context+".json"))
	if err != nil || strings.Contains(string(settings), "postgres://") {
		t.Errorf("the URL is in a file: %s %v", settings, err)
	}

	if status, body := p.call(http.MethodDelete, "/v1/conversations/"+conversation, nil); status != http.StatusOK {
		t.Errorf("delete: %d %s", status, body)
	}

	if status, _ := p.call(http.MethodGet, "/v1/conversations/"+conversation, nil); status != http.StatusNotFound {
		t.Errorf("the deleted conversation is answered with %d", status)
	}
}

// waitReady waits until conversations are answered for again.
func (p *testPlatform) waitReady() {
	p.t.Helper()

	for deadline := time.Now().Add(patience); ; <-time.After(20 * time.Millisecond) {
		if status, body := p.call(http.MethodGet, "/v1/conversations", nil); status == http.StatusOK {
			return
		} else if time.Now().After(deadline) {
			p.t.Fatalf("after %s: %d %s", patience, status, body)
		}
	}
}
