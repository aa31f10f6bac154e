package app

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/timestamppb"

	conversationv1 "github.com/serinhq/serin/gen/serin/conversation/v1"
	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
)

var clockForm = regexp.MustCompile(`\d\d:\d\d:\d\d\.\d{3}`)

func TestConversationsList(t *testing.T) {
	gateway := newFakeGateway(t)

	code, stdout, stderr := run(t, "conversations", "list", "--url", gateway.URL)
	if want := "CONVERSATION   AGENT     STATE   USER   UPDATED\n" +
		strings.Repeat("c1             billing   idle    ann    -\n", 2); code != 0 || stdout != want {
		t.Errorf("exit %d, %s\n%s", code, stderr, stdout)
	}

	code, stdout, _ = run(t, "conversations", "list", "--url", gateway.URL, "--limit", "1", "-o", "yaml")
	if code != 0 || strings.Count(stdout, "conversationId: c1") != 1 || !strings.Contains(stdout, `nextPageToken: "2"`) {
		t.Errorf("exit %d\n%s", code, stdout)
	}
}

func TestConversationsShow(t *testing.T) {
	gateway := newFakeGateway(t)
	gateway.happen(inSegment(0, 0, &eventv1.Event{Kind: &eventv1.Event_TurnAccepted{TurnAccepted: &eventv1.TurnAccepted{Text: "hello"}}}))

	turn := aWholeTurn()
	turn[len(turn)-1].GetTurnCompleted().Usage = &eventv1.Usage{
		InputTokens: 300, CachedInputTokens: 40, OutputTokens: 25, CostMicros: new(int64(1234)),
	}
	gateway.happen(turn...)

	code, stdout, stderr := run(t, "conversations", "show", "c1", "--url", gateway.URL)
	if code != 0 {
		t.Fatalf("exit %d, %s", code, stderr)
	}

	want := `conversation: c1
user:         ann of default
agent:        billing
state:        idle
opened:       -
updated:      -
revision:     billing 0123456789ab
used:         1 turn, 300 tokens in (40 cached), 25 out, $0.0012

you: hello
` + strings.Replace(aWholeTurnText, "    reading (1 of 2)\n", "", 1) // transient: seen live only
	if diff := cmp.Diff(want, stdout); diff != "" {
		t.Error(diff)
	}

	code, stdout, _ = run(t, "conversations", "show", "c1", "--url", gateway.URL, "-o", "json")
	if code != 0 || !strings.HasPrefix(stdout, "{\n  \"conversation\": {\n") || strings.Count(stdout, `"sequence"`) != int(gateway.sequence) {
		t.Errorf("exit %d\n%s", code, stdout)
	}

	if strings.Count(stdout, `"costMicros": "1234"`) != 2 { // the turn's, and in all
		t.Errorf("what it cost is missing:\n%s", stdout)
	}

	if code, _, _ = run(t, "conversations", "show", "c2", "--url", gateway.URL); code != 2 {
		t.Errorf("exit %d", code)
	}
}

func TestConversationsEvents(t *testing.T) {
	gateway := newFakeGateway(t)
	gateway.happen(inSegment(0, 0, &eventv1.Event{Kind: &eventv1.Event_TurnAccepted{TurnAccepted: &eventv1.TurnAccepted{Text: "hello you"}}}))
	gateway.happen(aWholeTurn()...)

	code, stdout, stderr := run(t, "conversations", "events", "c1", "--url", gateway.URL)
	if code != 0 {
		t.Fatalf("exit %d, %s", code, stderr)
	}

	want := `SEQ   TIME         AGENT          EVENT                DETAIL
1     00:00:00.000 billing        turn_accepted        text="hello you"
2     00:00:00.000 billing        agent_message        message_id=m0 tool_calls=(1) simulated=true
3     00:00:00.000 billing        tool_result          call_id=k0 tool=handoff_to_billing outcome=OUTCOME_OK output="Control passed to billing."
4     00:00:00.000 triage         handoff              from_agent=triage to_agent=billing reason="about an\ninvoice"
5     00:00:00.000 billing        message_part         message_id=m1 text="Let me look."
6     00:00:00.000 billing        agent_message        message_id=m1 text="Let me look." tool_calls=(1) simulated=true
7     00:00:00.000 billing        tool_result          call_id=k1 tool=billing_list outcome=OUTCOME_OK output="two\ninvoices \x1b[31m"
8     00:00:00.000 billing        agent_message        message_id=m2 text="It was charged twice." simulated=true
9     00:00:00.000 billing        turn_completed       text="It was charged twice."
`
	if diff := cmp.Diff(want, clockForm.ReplaceAllString(stdout, "00:00:00.000")); diff != "" {
		t.Error(diff)
	}

	code, stdout, _ = run(t, "conversations", "events", "c1", "--url", gateway.URL, "--from", "8", "-o", "json")
	if code != 0 || strings.Count(stdout, "\n") != 2 || !strings.HasPrefix(stdout, `{"sequence":"8",`) {
		t.Errorf("exit %d\n%s", code, stdout)
	}

	code, stdout, _ = run(t, "conversations", "events", "c1", "--url", gateway.URL, "--from", "9", "-o", "yaml")
	if code != 0 || !strings.HasPrefix(stdout, "---\nsequence: \"9\"\n") {
		t.Errorf("exit %d\n%s", code, stdout)
	}
}

// TestEventsFollow follows over cuts until it is told to end.
func TestEventsFollow(t *testing.T) {
	gateway := newFakeGateway(t)
	gateway.cuts = []int{1, 2}
	gateway.happen(aQuestion()...)

	term := newTerminal(t, strings.NewReader(""), false)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan int)

	go func() {
		ended <- Execute(ctx, term.env, []string{"conversations", "events", "c1", "-f", "--from", "2", "--url", gateway.URL})
	}()

	term.out.wait(t, "turn_waiting")
	gateway.happen(anEnd()...)
	term.out.wait(t, "turn_completed")
	cancel()

	if code := <-ended; code != 0 {
		t.Errorf("exit %d, %s", code, term.err)
	}

	sequences := []string{}
	for line := range strings.Lines(term.out.String()) {
		sequences = append(sequences, strings.Fields(line)[0])
	}

	if diff := cmp.Diff([]string{"SEQ", "2", "3", "4", "5"}, sequences); diff != "" {
		t.Error(diff)
	}
}

// shelf is a gateway with conversations that can be deleted.
type shelf struct {
	*httptest.Server

	mu            sync.Mutex
	conversations []*conversationv1.Conversation
	queries       []string
}

func newShelf(t *testing.T, conversations ...*conversationv1.Conversation) *shelf {
	t.Helper()

	s := &shelf{conversations: conversations}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/conversations", func(w http.ResponseWriter, _ *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()

		data, _ := protojson.Marshal(&conversationv1.ListConversationsResponse{Conversations: s.conversations})
		_, _ = w.Write(data)
	})
	mux.HandleFunc("DELETE /v1/conversations/{id}", s.delete)

	s.Server = httptest.NewServer(mux)
	t.Cleanup(s.Close)

	return s
}

func (s *shelf) delete(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()

	s.queries = append(s.queries, r.URL.RawQuery)

	for i, one := range s.conversations {
		switch {
		case one.GetConversationId() != r.PathValue("id"):
		case one.GetActiveTurn() != nil && r.URL.Query().Get("force") == "":
			w.WriteHeader(http.StatusConflict)
			_, _ = w.Write([]byte(`{"error":{"code":"FAILED_PRECONDITION","reason":"TURN_IN_PROGRESS","message":"a turn runs"}}`))

			return
		default:
			s.conversations = slices.Delete(s.conversations, i, i+1)
			_, _ = w.Write([]byte(`{}`))

			return
		}
	}

	w.WriteHeader(http.StatusNotFound)
	_, _ = w.Write([]byte(`{"error":{"code":"NOT_FOUND","reason":"CONVERSATION_NOT_FOUND","message":"there is none"}}`))
}

func idleFor(id string, age time.Duration) *conversationv1.Conversation {
	return &conversationv1.Conversation{ConversationId: id, UpdatedAt: timestamppb.New(time.Now().Add(-age))}
}

func TestConversationsDelete(t *testing.T) {
	busy := idleFor("c2", time.Hour)
	busy.ActiveTurn = &conversationv1.Turn{TurnId: "t1"}
	shelf := newShelf(t, idleFor("c1", time.Hour), busy)

	code, stdout, stderr := run(t, "conversations", "delete", "c1", "--url", shelf.URL)
	if code != 0 || stdout != "deleted c1\ndeleted 1, kept 0\n" {
		t.Errorf("exit %d, %s %s", code, stdout, stderr)
	}

	for _, one := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"c1"}, 2, "there is none"},
		{[]string{"c2"}, 1, "a turn runs"},
		{[]string{"c2", "c3", "--force"}, 2, "there is none (1 deleted before)"},
		{nil, 2, "requires at least 1 arg"},
	} {
		args := append([]string{"conversations", "delete", "--url", shelf.URL}, one.args...)
		if code, _, stderr := run(t, args...); code != one.code || !strings.Contains(stderr, one.says) {
			t.Errorf("%v: exit %d, %s; want %d, %s", one.args, code, stderr, one.code, one.says)
		}
	}
}

func TestConversationsPurge(t *testing.T) {
	const day = 24 * time.Hour

	busy := idleFor("c2", 100*day)
	busy.ActiveTurn = &conversationv1.Turn{TurnId: "t1"}
	shelf := newShelf(t, idleFor("c1", 100*day), busy, idleFor("c3", 10*day), idleFor("c4", 91*day))

	for _, dry := range []bool{true, false} {
		args := []string{"conversations", "purge", "--older-than", "90d", "-o", "json", "--url", shelf.URL}
		if dry {
			args = append(args, "--dry-run")
		}

		code, stdout, stderr := run(t, args...)

		var got struct {
			Deleted []string `json:"deleted"`
			Kept    []struct {
				Conversation string `json:"conversation"`
				Reason       string `json:"reason"`
			} `json:"kept"`
		}
		if err := json.Unmarshal([]byte(stdout), &got); err != nil || code != 0 {
			t.Fatalf("exit %d, %v: %s %s", code, err, stdout, stderr)
		}

		if !slices.Equal(got.Deleted, []string{"c1", "c4"}) || len(got.Kept) != 1 || got.Kept[0].Conversation != "c2" {
			t.Errorf("dry run %t: %s", dry, stdout)
		}

		if dry && len(shelf.queries) > 0 {
			t.Error("a dry run deleted something")
		}
	}

	if len(shelf.conversations) != 2 || len(shelf.queries) != 2 || !strings.HasPrefix(shelf.queries[0], "idleSince=") {
		t.Errorf("left are %v, after %v", shelf.conversations, shelf.queries)
	}
}
