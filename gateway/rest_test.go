package gateway

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/grpc"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	handoffv1 "github.com/serinhq/serin/gen/serin/handoff/v1"
)

func TestConversationOverREST(t *testing.T) {
	w := newWorld(t)
	id := w.create()

	got := w.send(id, "hello")
	if got.status != http.StatusOK || got.at("turn", "text") != "echo: hello" || got.at("turn", "state") != "TURN_STATE_COMPLETED" {
		t.Fatalf("message: %d %v", got.status, got.body)
	}

	if got.at("turn", "simulated") != true || got.at("turn", "agent") != "triage" {
		t.Errorf("turn: %v", got.body)
	}

	got = w.do("GET", "/v1/conversations/"+id, "")
	if got.at("conversation", "agent") != "triage" || got.at("conversation", "tenant") != "default" {
		t.Errorf("get: %v", got.body)
	}

	if _, present := got.at("conversation").(map[string]any)["activeTurn"]; present {
		t.Errorf("zero values must be omitted: %v", got.body)
	}

	got = w.do("GET", "/v1/conversations/"+id+"/events?from=2&limit=1", "")
	if events := got.at("events").([]any); len(events) != 1 || events[0].(map[string]any)["sequence"] != "2" {
		t.Errorf("events: %v", got.body)
	}

	accepted := w.store.log(id)[1].GetTurnAccepted()
	if accepted.GetBudget().GetSteps() != 7 || accepted.GetActors()[0] != "local" {
		t.Errorf("accepted: %v", accepted)
	}
}

func TestListPages(t *testing.T) {
	w := newWorld(t)
	ids := []string{w.create(), w.create(), w.create()}

	first := w.do("GET", "/v1/conversations?pageSize=2", "")
	second := w.do("GET", "/v1/conversations?page_size=2&page_token="+first.at("nextPageToken").(string), "")

	if n := len(first.at("conversations").([]any)); n != 2 {
		t.Errorf("first page has %d", n)
	}

	rest := second.at("conversations").([]any)
	if len(rest) != 1 || rest[0].(map[string]any)["conversationId"] != ids[0] || second.at("nextPageToken") != nil {
		t.Errorf("second page: %v", second.body)
	}
}

func TestCreate(t *testing.T) {
	w := newWorld(t)

	if got := w.do("POST", "/v1/conversations", `{"agent":"billing"}`); got.at("conversation", "agent") != "billing" {
		t.Errorf("named agent: %v", got.body)
	}

	got := w.do("POST", "/v1/conversations", `{"agent":"nobody"}`)
	if got.status != http.StatusBadRequest || !strings.Contains(got.violation("agent"), "triage, billing") {
		t.Errorf("unknown agent: %v", got.body)
	}

	first, again := w.create("Idempotency-Key", "k1"), w.create("Idempotency-Key", "k1")
	if first != again || first == w.create("Idempotency-Key", "k2") {
		t.Error("an idempotency key names one conversation")
	}
}

func TestErrorsHaveOneShape(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Door.MaxBodyBytes = 2000 })
	id := w.create()
	messages := "/v1/conversations/" + id + "/messages"

	for name, c := range map[string]struct {
		method, path, body string
		header             []string
		status             int
		reason, field      string
	}{
		"no such conversation":   {"GET", "/v1/conversations/c0", "", nil, 404, "CONVERSATION_NOT_FOUND", ""},
		"no such route":          {"GET", "/v1/nothing", "", nil, 404, "ROUTE_NOT_FOUND", ""},
		"no such page":           {"GET", "/nothing", "", nil, 404, "ROUTE_NOT_FOUND", ""},
		"wrong verb":             {"DELETE", messages, "", nil, 405, "METHOD_NOT_ALLOWED", ""},
		"wrong verb of a page":   {"POST", "/", "{}", nil, 405, "METHOD_NOT_ALLOWED", ""},
		"too large":              {"POST", messages, `{"text":"` + strings.Repeat("x", 3000) + `"}`, nil, 413, "BODY_TOO_LARGE", ""},
		"not JSON":               {"POST", messages, "text=hi", []string{"Content-Type", "application/x-www-form-urlencoded"}, 415, "UNSUPPORTED_MEDIA_TYPE", ""},
		"malformed":              {"POST", messages, `{"text":`, nil, 400, "MALFORMED_JSON", ""},
		"trailing":               {"POST", messages, `{"text":"a"} x`, nil, 400, "MALFORMED_JSON", ""},
		"array":                  {"POST", messages, `[]`, nil, 400, "MALFORMED_JSON", ""},
		"null":                   {"POST", messages, `null`, nil, 400, "MALFORMED_JSON", ""},
		"unknown field":          {"POST", messages, `{"txt_x":"a"}`, nil, 400, "INVALID", "txt_x"},
		"wrong type":             {"POST", messages, `{"text":7}`, nil, 400, "INVALID", "text"},
		"no text":                {"POST", messages, ``, nil, 400, "INVALID", "text"},
		"page size out of range": {"GET", "/v1/conversations?pageSize=5000", "", nil, 400, "INVALID", "pageSize"},
		"page size not a number": {"GET", "/v1/conversations?pageSize=x", "", nil, 400, "INVALID", "pageSize"},
		"unknown parameter":      {"GET", "/v1/conversations?size=1", "", nil, 400, "INVALID", "size"},
		"parameter on POST":      {"POST", messages + "?text=a", `{"text":"a"}`, nil, 400, "INVALID", "text"},
		"parameter twice":        {"GET", "/v1/conversations?pageSize=1&page_size=2", "", nil, 400, "INVALID", "page_size"},
		"no active turn":         {"POST", "/v1/conversations/" + id + ":cancel", "", nil, 409, "NO_ACTIVE_TURN", ""},
		"no turn for feedback":   {"POST", "/v1/conversations/" + id + "/feedback", `{"rating":"up"}`, nil, 404, "TURN_NOT_FOUND", ""},
		"bad rating":             {"POST", "/v1/conversations/" + id + "/feedback", `{"rating":"meh"}`, nil, 400, "INVALID", "rating"},
		"nothing asked":          {"POST", "/v1/conversations/" + id + "/approvals/t1-1-1-0", `{"decision":"approve"}`, nil, 409, "INPUT_NOT_REQUESTED", ""},
		"no decision":            {"POST", "/v1/conversations/" + id + "/approvals/t1-1-1-0", `{}`, nil, 400, "INVALID", "decision"},
		"bad Last-Event-ID":      {"GET", "/v1/conversations/" + id + "/events", "", []string{"Accept", "text/event-stream", "Last-Event-ID", "x"}, 400, "INVALID", "Last-Event-ID"},
		"SSE of nothing":         {"GET", "/v1/conversations/c0/events", "", []string{"Accept", "text/event-stream"}, 404, "CONVERSATION_NOT_FOUND", ""},
		"SSE without text":       {"POST", messages, `{}`, []string{"Accept", "text/event-stream"}, 400, "INVALID", "text"},
		"SSE unknown field":      {"POST", messages, `{"x":1}`, []string{"Accept", "text/event-stream"}, 400, "INVALID", "x"},
		"page of another site":   {"POST", "/v1/conversations", "", []string{"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"}, 403, "CROSS_ORIGIN", ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := w.do(c.method, c.path, c.body, append(c.header, "X-Request-Id", "my-id")...)
			if got.status != c.status || got.reason() != c.reason || got.at("error", "httpStatus") != float64(c.status) {
				t.Fatalf("got %d %v", got.status, got.body)
			}

			if c.field != "" && got.violation(c.field) == "" {
				t.Errorf("no violation of %s: %v", c.field, got.body)
			}

			if got.at("error", "requestId") != "my-id" || got.header.Get("X-Request-ID") != "my-id" || got.at("error", "message") == "" {
				t.Errorf("request id or message: %v", got.body)
			}

			if c.status == 405 && got.header.Get("Allow") == "" {
				t.Error("405 without Allow")
			}
		})
	}
}

func TestForeignHostIsRefusedOnLoopback(t *testing.T) {
	w := newWorld(t)
	req := w.request("GET", "/v1/conversations", "")
	req.Host = "evil.example:80"

	resp, err := w.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()

	if resp.StatusCode != http.StatusMisdirectedRequest {
		t.Errorf("got %d", resp.StatusCode)
	}
}

func TestPages(t *testing.T) {
	w := newWorld(t)

	if got := w.do("GET", "/", ""); got.at("version") != "test" || !strings.Contains(strings.Join(strs(got.at("routes")), " "), "POST /v1/conversations/{conversation_id}:cancel") {
		t.Errorf("index: %v", got.body)
	}

	if got := w.do("GET", "/openapi.json", ""); got.at("swagger") != "2.0" {
		t.Errorf("openapi: %v", got.body)
	}
}

func strs(value any) []string {
	items := value.([]any)
	texts := make([]string, 0, len(items))

	for _, item := range items {
		texts = append(texts, item.(string))
	}

	return texts
}

func TestRequestIDs(t *testing.T) {
	w := newWorld(t)

	for given, kept := range map[string]bool{"abc-1.2:3": true, "": false, "a b": false, strings.Repeat("x", 129): false, "<script>": false} {
		got := w.do("GET", "/", "", "X-Request-Id", given).header.Get("X-Request-ID")
		if got == "" || (got == given) != kept {
			t.Errorf("given %q, got %q", given, got)
		}
	}
}

func TestPanicIsAnAnswer(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Context = panickyStore{c.Context} })

	got := w.do("GET", "/v1/conversations/c1", "")
	if got.status != 500 || got.reason() != "INTERNAL" || strings.Contains(got.at("error", "message").(string), "boom") {
		t.Errorf("got %d %v", got.status, got.body)
	}
}

type panickyStore struct{ contextv1.ContextServiceClient }

func (panickyStore) GetConversation(_ context.Context, _ *contextv1.GetConversationRequest, _ ...grpc.CallOption) (*contextv1.GetConversationResponse, error) {
	panic("boom")
}

func TestIdempotentMessages(t *testing.T) {
	w := newWorld(t)
	id := w.create()

	first := w.send(id, "hello", "Idempotency-Key", "k")
	again := w.send(id, "hello", "Idempotency-Key", "k")

	if first.at("turn", "turnId") != again.at("turn", "turnId") || again.at("turn", "text") != "echo: hello" {
		t.Errorf("first %v, again %v", first.body, again.body)
	}

	if got := w.send(id, "other", "Idempotency-Key", "k"); got.status != 409 || got.reason() != "REQUEST_ID_REUSED" {
		t.Errorf("other text: %d %v", got.status, got.body)
	}

	if w.send(id, "hello").at("turn", "turnId") == first.at("turn", "turnId") {
		t.Error("without a key each message is a turn")
	}

	got := w.do("POST", "/v1/conversations/"+id+"/messages", `{"text":"a","idempotencyKey":"b"}`, "Idempotency-Key", "c")
	if got.violation("idempotencyKey") == "" {
		t.Errorf("two keys: %v", got.body)
	}

	events := w.sse("POST", "/v1/conversations/"+id+"/messages", `{"text":"hello"}`, "Idempotency-Key", "k").all()
	if events[0].event != "turn_accepted" || events[0].id != "2" || events[len(events)-2].event != "turn_completed" {
		t.Errorf("replayed stream: %v", events)
	}
}

func TestSecondMessageIsRefusedWhileATurnRuns(t *testing.T) {
	w := newWorld(t)
	release := make(chan struct{})
	w.agents["triage"].plays(func(turn *contextv1.Turn) (*handoffv1.Finished, error) {
		<-release

		return w.agents["triage"].echo(turn)
	})

	id := w.create()
	stream := w.sse("POST", "/v1/conversations/"+id+"/messages", `{"text":"one"}`)

	if got := w.send(id, "two"); got.status != 409 || got.reason() != "TURN_IN_PROGRESS" {
		t.Errorf("got %d %v", got.status, got.body)
	}

	close(release)

	if all := stream.all(); all[len(all)-2].event != "turn_completed" {
		t.Errorf("got %v", all)
	}
}

func TestApproval(t *testing.T) {
	w := newWorld(t)
	w.agents["triage"].plays(w.agents["triage"].asksApproval)

	id := w.create()
	waiting := w.send(id, "refund", "Idempotency-Key", "k")
	turn := waiting.at("turn", "turnId").(string)
	call := turn + "-1-1-0"
	path := "/v1/conversations/" + id + "/approvals/" + call

	if waiting.at("turn", "state") != "TURN_STATE_INPUT_REQUIRED" || waiting.at("turn", "pendingInputs").([]any)[0].(map[string]any)["callId"] != call {
		t.Fatalf("waiting: %v", waiting.body)
	}

	for _, path := range []string{"/v1/conversations/" + id, "/v1/conversations"} {
		view := w.do("GET", path, "")
		conversation, _ := view.at("conversation").(map[string]any)

		if list, ok := view.at("conversations").([]any); ok {
			conversation = list[0].(map[string]any)
		}

		if pending := conversation["activeTurn"].(map[string]any)["pendingInputs"].([]any); len(pending) != 1 {
			t.Errorf("%s: %v", path, view.body)
		}
	}

	if got := w.do("POST", path, `{"decision":"happened"}`); got.violation("decision") == "" {
		t.Errorf("a decision that does not fit: %v", got.body)
	}

	if got := w.do("POST", path, `{"decision":"approve","comment":"fine"}`); got.status != 200 || got.at("turnId") != turn {
		t.Fatalf("approve: %d %v", got.status, got.body)
	}

	// The message again waits for the turn, which went on since, and does not stop where it waited.
	if got := w.send(id, "refund", "Idempotency-Key", "k"); got.at("turn", "text") != "DECISION_APPROVE" {
		t.Errorf("after approval: %v", got.body)
	}

	if got := w.do("POST", path, `{"decision":"DECISION_APPROVE"}`); got.status != 200 {
		t.Errorf("the same answer again: %d %v", got.status, got.body)
	}

	if got := w.do("POST", path, `{"decision":"reject"}`); got.status != 409 || got.reason() != "INPUT_RESOLVED" {
		t.Errorf("another answer: %d %v", got.status, got.body)
	}

	other := w.create()
	if got := w.do("POST", "/v1/conversations/"+other+"/approvals/"+call, `{"decision":"approve"}`); got.reason() != "INPUT_NOT_REQUESTED" {
		t.Errorf("by way of another conversation: %v", got.body)
	}
}

func TestCancel(t *testing.T) {
	w := newWorld(t)
	w.agents["triage"].plays(w.agents["triage"].asksApproval)

	id := w.create()
	turn := w.send(id, "refund").at("turn", "turnId")

	w.agents["triage"].plays(nil)

	for range 2 { // a second cancel may meet the turn or its end
		got := w.do("POST", "/v1/conversations/"+id+":cancel", `{"reason":"enough"}`)
		if got.status == 200 && got.at("turnId") != turn || got.status != 200 && got.reason() != "NO_ACTIVE_TURN" {
			t.Errorf("cancel: %d %v", got.status, got.body)
		}
	}

	eventually(t, "the turn is cancelled", func() bool {
		log := w.store.log(id)

		return log[len(log)-1].GetTurnCancelled() != nil
	})
}

func TestFeedback(t *testing.T) {
	w := newWorld(t)
	id := w.create()
	first := w.send(id, "one").at("turn", "turnId").(string)
	second := w.send(id, "two").at("turn", "turnId").(string)
	path := "/v1/conversations/" + id + "/feedback"

	for body, turn := range map[string]string{
		`{"rating":"up"}`: second, `{"rating":"RATING_DOWN","turnId":"` + first + `","comment":"no"}`: first,
	} {
		if got := w.do("POST", path, body); got.status != 200 {
			t.Fatalf("%s: %d %v", body, got.status, got.body)
		}

		log := w.store.log(id)
		if last := log[len(log)-1]; last.GetTurnId() != turn || last.GetFeedbackGiven().GetBy() != "local" {
			t.Errorf("%s: %v", body, last)
		}
	}

	if got := w.do("POST", path, `{"rating":"up","turnId":"t0"}`); got.status != 404 {
		t.Errorf("unknown turn: %d %v", got.status, got.body)
	}

	// Feedback came last, and about the first turn; the last turn is still the last.
	if got := w.do("POST", path, `{"rating":"up"}`); got.status != 200 {
		t.Fatal(got.body)
	}

	log := w.store.log(id)
	if last := log[len(log)-1]; last.GetTurnId() != second {
		t.Errorf("got %v", last)
	}
}

func TestDeleteConversation(t *testing.T) {
	w := newWorld(t)
	id := w.create()
	path := "/v1/conversations/" + id

	if got := w.do("DELETE", path+"?forced=true", ""); got.status != 400 || got.violation("forced") == "" {
		t.Errorf("an unknown parameter: %d %v", got.status, got.body)
	}

	release := make(chan struct{})
	w.agents["triage"].plays(func(turn *contextv1.Turn) (*handoffv1.Finished, error) {
		<-release

		return w.agents["triage"].echo(turn)
	})

	stream := w.sse("POST", path+"/messages", `{"text":"one"}`)

	if got := w.do("DELETE", path, ""); got.status != 409 || got.reason() != "TURN_IN_PROGRESS" {
		t.Errorf("while a turn runs: %d %v", got.status, got.body)
	}

	close(release)
	stream.all()

	if got := w.do("DELETE", path, ""); got.status != 200 || len(got.body) != 0 {
		t.Errorf("got %d %v", got.status, got.body)
	}

	for _, verb := range []string{"GET", "DELETE"} {
		if got := w.do(verb, path, ""); got.status != 404 || got.reason() != "CONVERSATION_NOT_FOUND" {
			t.Errorf("%s of what is deleted: %d %v", verb, got.status, got.body)
		}
	}
}
