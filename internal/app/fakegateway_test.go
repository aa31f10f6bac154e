package app

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	conversationv1 "github.com/serinhq/serin/gen/serin/conversation/v1"
	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
)

// fakeGateway is the REST door in front of one conversation whose events a test wrote beforehand: some happen when a
// message comes, some when a question is answered, some when the turn is cancelled.
type fakeGateway struct {
	*httptest.Server

	t *testing.T

	// What happens when.
	onMessage, onAnswer, onCancel []*eventv1.Event
	// cuts are, per stream, after how many events it is cut; 0 means never.
	cuts []int
	// refuse are answers to the first requests for a message, instead of a stream.
	refuse []int

	mu       sync.Mutex
	grown    chan struct{}
	log      []*eventv1.Event
	sequence int64
	requests []string
	keys     map[string]bool
	pending  []*eventv1.InputRequested
}

func newFakeGateway(t *testing.T) *fakeGateway {
	t.Helper()

	g := &fakeGateway{t: t, grown: make(chan struct{}), keys: map[string]bool{}}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/conversations", g.create)
	mux.HandleFunc("GET /v1/conversations", g.list)
	mux.HandleFunc("GET /v1/conversations/c1", g.get)
	mux.HandleFunc("POST /v1/conversations/c1/messages", g.message)
	mux.HandleFunc("GET /v1/conversations/c1/events", g.events)
	mux.HandleFunc("POST /v1/conversations/c1/approvals/{call}", g.answer)
	mux.HandleFunc("POST /v1/conversations/c1:cancel", g.cancel)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		g.fail(w, http.StatusNotFound, "NOT_FOUND", "CONVERSATION_NOT_FOUND", "there is no conversation at "+r.URL.Path)
	})

	g.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.notef("%s %s key=%t after=%s %s", r.Method, r.URL.Path, r.Header.Get("Idempotency-Key") != "",
			r.Header.Get("Last-Event-ID"), r.Header.Get("Authorization"))
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(func() {
		g.CloseClientConnections()
		g.Close()
	})

	return g
}

func (g *fakeGateway) notef(format string, args ...any) {
	g.mu.Lock()
	defer g.mu.Unlock()

	g.requests = append(g.requests, strings.TrimSpace(fmt.Sprintf(format, args...)))
}

func (g *fakeGateway) seen() string {
	g.mu.Lock()
	defer g.mu.Unlock()

	return strings.Join(g.requests, "\n")
}

// happen appends events: durable ones get a sequence.
func (g *fakeGateway) happen(events ...*eventv1.Event) {
	g.mu.Lock()
	defer g.mu.Unlock()

	for _, event := range events {
		event = proto.CloneOf(event)
		event.ConversationId = "c1"

		if event.GetTextDelta() == nil && event.GetToolProgress() == nil {
			g.sequence++
			event.Sequence = g.sequence
			event.Time = timestamppb.New(timestamppb.Now().AsTime())
		}

		if input := event.GetInputRequested(); input != nil {
			g.pending = append(g.pending, input)
		}

		g.log = append(g.log, event)
	}

	close(g.grown)
	g.grown = make(chan struct{})
}

func (g *fakeGateway) conversation() *conversationv1.Conversation {
	g.mu.Lock()
	defer g.mu.Unlock()

	found := &conversationv1.Conversation{
		ConversationId: "c1", Agent: "billing", User: "ann", Tenant: "default", Version: g.sequence,
		Revisions: map[string]string{"billing": "0123456789ab"},
	}
	if len(g.pending) > 0 {
		found.ActiveTurn = &conversationv1.Turn{
			TurnId: "t1", State: conversationv1.TurnState_TURN_STATE_INPUT_REQUIRED, PendingInputs: g.pending,
		}
	}

	return found
}

func (g *fakeGateway) create(w http.ResponseWriter, _ *http.Request) {
	g.happen(&eventv1.Event{Kind: &eventv1.Event_ConversationCreated{ConversationCreated: &eventv1.ConversationCreated{Agent: "triage"}}})
	g.reply(w, &conversationv1.CreateConversationResponse{Conversation: g.conversation()})
}

func (g *fakeGateway) get(w http.ResponseWriter, _ *http.Request) {
	g.reply(w, &conversationv1.GetConversationResponse{Conversation: g.conversation()})
}

func (g *fakeGateway) list(w http.ResponseWriter, r *http.Request) {
	answer := &conversationv1.ListConversationsResponse{Conversations: []*conversationv1.Conversation{g.conversation()}}
	if r.URL.Query().Get("pageToken") == "" {
		answer.NextPageToken = "2"
	}

	g.reply(w, answer)
}

func (g *fakeGateway) message(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	key := r.Header.Get("Idempotency-Key")
	again := g.keys[key]
	status := 0

	if len(g.refuse) > 0 {
		status, g.refuse = g.refuse[0], g.refuse[1:]
	}

	g.keys[key] = again || status == 0
	after := g.sequence
	g.mu.Unlock()

	if status != 0 {
		g.fail(w, status, "", "", "")

		return
	}

	if again {
		after = 1
	} else {
		request := &conversationv1.SendMessageRequest{}
		g.read(r, request)
		g.happen(append([]*eventv1.Event{inSegment(0, 0, &eventv1.Event{
			Kind: &eventv1.Event_TurnAccepted{TurnAccepted: &eventv1.TurnAccepted{Text: request.GetText()}},
		})}, g.onMessage...)...)
	}

	g.stream(w, r, after, true)
}

func (g *fakeGateway) events(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Accept") == "text/event-stream" {
		after, _ := strconv.ParseInt(r.Header.Get("Last-Event-ID"), 10, 64)
		g.stream(w, r, after, false)

		return
	}

	from, _ := strconv.ParseInt(r.URL.Query().Get("from"), 10, 64)
	answer := &conversationv1.ListEventsResponse{}

	g.mu.Lock()
	for _, event := range g.log {
		if event.GetSequence() >= max(from, 1) && len(answer.GetEvents()) < 2 { // pages are small, so that there are some
			answer.Events = append(answer.Events, event)
		}
	}

	answer.Version = g.sequence
	g.mu.Unlock()

	g.reply(w, answer)
}

// stream writes what is in the log after a sequence, and what comes; of the past only what is durable.
func (g *fakeGateway) stream(w http.ResponseWriter, r *http.Request, after int64, untilSettled bool) {
	g.mu.Lock()
	cut := 0
	if len(g.cuts) > 0 {
		cut, g.cuts = g.cuts[0], g.cuts[1:]
	}
	g.mu.Unlock()

	w.Header().Set("Content-Type", "text/event-stream")
	fmt.Fprint(w, "retry: 1000\n\n: ping\n\n")

	next, sent := 0, 0

	for {
		g.mu.Lock()
		log, grown := g.log, g.grown
		g.mu.Unlock()

		for ; next < len(log); next++ {
			event := log[next]
			if event.GetSequence() != 0 && event.GetSequence() <= after || event.GetSequence() == 0 && !untilSettled {
				continue
			}

			writeFrame(w, event)

			if sent++; sent == cut {
				w.(http.Flusher).Flush()
				panic(http.ErrAbortHandler)
			}

			if untilSettled && endsTurn(event) {
				return
			}
		}

		w.(http.Flusher).Flush()

		select {
		case <-grown:
		case <-r.Context().Done():
			return
		}
	}
}

func writeFrame(w http.ResponseWriter, event *eventv1.Event) {
	data, err := protojson.Marshal(event)
	if err != nil {
		panic(err)
	}

	if event.GetSequence() > 0 {
		fmt.Fprintf(w, "id: %d\n", event.GetSequence())
	}

	name, _ := eventDetail(event)
	fmt.Fprintf(w, "event: %s\ndata: %s\n\n", name, data)
}

func (g *fakeGateway) answer(w http.ResponseWriter, r *http.Request) {
	request := &conversationv1.ResolveInputRequest{}
	g.read(r, request)
	g.notef("decision %s %q", request.GetDecision(), request.GetComment())

	g.mu.Lock()
	g.pending = nil
	g.mu.Unlock()

	g.happen(append([]*eventv1.Event{inSegment(1, 1, &eventv1.Event{Kind: &eventv1.Event_InputResolved{InputResolved: &eventv1.InputResolved{
		CallId: r.PathValue("call"), Decision: request.GetDecision(), Comment: request.GetComment(), By: "ann",
	}}})}, g.onAnswer...)...)
	g.reply(w, &conversationv1.ResolveInputResponse{TurnId: "t1"})
}

func (g *fakeGateway) cancel(w http.ResponseWriter, _ *http.Request) {
	g.happen(g.onCancel...)
	g.reply(w, &conversationv1.CancelTurnResponse{TurnId: "t1"})
}

func (g *fakeGateway) read(r *http.Request, into proto.Message) {
	body := json.RawMessage{}
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		g.t.Error(err)
	}

	if err := protojson.Unmarshal(body, into); err != nil {
		g.t.Error(err)
	}
}

func (g *fakeGateway) reply(w http.ResponseWriter, message proto.Message) {
	data, err := protojson.Marshal(message)
	if err != nil {
		g.t.Error(err)
	}

	_, _ = w.Write(data)
}

func (g *fakeGateway) fail(w http.ResponseWriter, status int, code, reason, text string) {
	w.WriteHeader(status)

	if code != "" {
		fmt.Fprintf(w, `{"error":{"code":%q,"httpStatus":%d,"reason":%q,"message":%q,"fieldViolations":[{"field":"x","message":"y"}]}}`,
			code, status, reason, text)
	}
}
