package app_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/serinhq/serin/internal/app"
)

// roomsFile declares an HTTP API as tools, and an agent that has them.
const roomsFile = `apiVersion: serin.dev/v1alpha1
kind: MCPServer
metadata: {name: rooms}
spec:
  url: %URL%/v1
  allowPrivate: true
  auth: {bearerEnv: ROOMS_TOKEN}
  http:
    - name: list
      description: Lists the meeting rooms and how many seats they have.
      method: GET
      path: /rooms
      input: {type: object, properties: {floor: {type: integer}}}
---
apiVersion: serin.dev/v1alpha1
kind: Agent
metadata: {name: desk}
spec:
  description: Knows the meeting rooms.
  prompt: {inline: You know the meeting rooms. Look them up before you speak of them.}
  model: {name: default}
  tools: [{name: rooms_list}]
`

// A user asks, the model wants a tool, and that is an HTTP API which knows the platform by a secret.
func TestATurnThroughAnHTTPTool(t *testing.T) {
	var asked atomic.Int32

	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet || r.URL.Path != "/v1/rooms" || r.Header.Get("Authorization") != "Bearer the-secret" {
			http.Error(w, r.Method+" "+r.URL.Path, http.StatusForbidden)

			return
		}

		asked.Add(1)
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"rooms": [{"name": "Aurora", "seats": 8}]}`))
	}))
	t.Cleanup(api.Close)

	dir := ownFolder(t)
	if err := os.WriteFile(filepath.Join(dir, "rooms.yaml"), []byte(strings.Replace(roomsFile, "%URL%", api.URL, 1)), 0o600); err != nil {
		t.Fatal(err)
	}

	p := startPlatform(t, func(config *app.PlatformConfig) {
		config.Agents = dir
		config.ExtraEnv = append(config.ExtraEnv, "ROOMS_TOKEN=the-secret")
	})

	conversation := p.newConversationWith("desk")
	turn := p.send(conversation, "List the meeting rooms")
	events := p.events(conversation)

	checkLog(t, events)

	if asked.Load() != 1 || !strings.Contains(turn.GetText(), "Aurora") {
		t.Errorf("the API was asked %d times, the answer is %q; the log:\n%s", asked.Load(), turn.GetText(), transcript(events))
	}

	if log := transcript(events); strings.Contains(log, "the-secret") {
		t.Errorf("the secret is in the log:\n%s", log)
	}
}
