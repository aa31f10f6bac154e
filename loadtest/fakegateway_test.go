package loadtest

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
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
	rolloutv1 "github.com/serinhq/serin/gen/serin/rollout/v1"
)

const (
	revisionA = "aaaaaaaaaaaa"
	revisionB = "bbbbbbbbbbbb"
)

// fakeGateway is a platform of one agent, billing, with a rollout. What goes wrong is up to the test.
type fakeGateway struct {
	*httptest.Server

	t testing.TB
	// mangle changes what a turn will be; it may be nil.
	mangle func(c *fakeConversation, events []*eventv1.Event) []*eventv1.Event
	// before is called before each request is served, and serves it itself if it returns true; it may be nil.
	before func(w http.ResponseWriter, r *http.Request) bool
	// cut is after how many events a stream is cut; it may be nil, and 0 means never.
	cut func(c *fakeConversation, after int64) int

	mu            sync.Mutex
	random        *rand.Rand
	conversations []*fakeConversation
	rollout       *rolloutv1.Rollout
	withdrawn     map[string]string
	actions       []string
}

// fakeConversation is one conversation's log.
type fakeConversation struct {
	number int
	log    []*eventv1.Event
	pin    string
	// turns are the sequences at which turns begin, by idempotency key.
	turns map[string]int64
	// held happens once the turn's question is answered.
	held []*eventv1.Event
}

func newFakeGateway(t testing.TB) *fakeGateway {
	t.Helper()

	g := &fakeGateway{
		t: t, random: rand.New(rand.NewPCG(1, 2)), withdrawn: map[string]string{},
		rollout: &rolloutv1.Rollout{Agent: "billing", Phase: rolloutv1.Phase_PHASE_IDLE, Stable: revisionA},
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/conversations", g.create)
	mux.HandleFunc("POST /v1/conversations/{id}/messages", g.message)
	mux.HandleFunc("GET /v1/conversations/{id}/events", g.events)
	mux.HandleFunc("POST /v1/conversations/{id}/approvals/{call}", g.approve)
	mux.HandleFunc("GET /v1/rollouts/billing", g.getRollout)
	mux.HandleFunc("GET /v1/rollouts/billing/revisions/stable", g.getRevision)
	mux.HandleFunc("POST /v1/rollouts/{verb}", g.steer)

	g.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if g.before == nil || !g.before(w, r) {
			mux.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(func() {
		g.CloseClientConnections()
		g.Close()
	})

	return g
}

func (g *fakeGateway) create(w http.ResponseWriter, _ *http.Request) {
	g.mu.Lock()
	c := &fakeConversation{number: len(g.conversations), turns: map[string]int64{}}
	g.conversations = append(g.conversations, c)
	c.append(&eventv1.Event{Kind: &eventv1.Event_ConversationCreated{ConversationCreated: &eventv1.ConversationCreated{}}})
	g.mu.Unlock()

	reply(w, &conversationv1.CreateConversationResponse{Conversation: &conversationv1.Conversation{
		ConversationId: "c" + strconv.Itoa(c.number), Version: 1,
	}})
}

func (g *fakeGateway) find(r *http.Request) *fakeConversation {
	number, _ := strconv.Atoi(strings.TrimPrefix(r.PathValue("id"), "c"))

	return g.conversations[number]
}

func (c *fakeConversation) append(events ...*eventv1.Event) {
	for _, event := range events {
		event.Sequence = int64(len(c.log)) + 1
		event.Time = timestamppb.Now()
		c.log = append(c.log, event)
	}
}

func (g *fakeGateway) message(w http.ResponseWriter, r *http.Request) {
	request := &conversationv1.SendMessageRequest{}
	data, _ := io.ReadAll(r.Body)

	if err := protojson.Unmarshal(data, request); err != nil {
		g.t.Error(err)
	}

	g.mu.Lock()
	defer g.mu.Unlock()

	c := g.find(r)
	after, _ := strconv.ParseInt(r.Header.Get("Last-Event-ID"), 10, 64)
	key := r.Header.Get("Idempotency-Key")

	if _, again := c.turns[key]; !again {
		c.turns[key] = int64(len(c.log)) + 1
		g.happen(c, g.turn(c, request.GetText()))
	}

	from, sent, cut := max(c.turns[key], after+1), 0, 0
	if g.cut != nil {
		cut = g.cut(c, after)
	}

	w.Header().Set("Content-Type", "text/event-stream")
	fmt.Fprint(w, "retry: 1000\n\n")

	for _, event := range c.log[min(from-1, int64(len(c.log))):] {
		if sent++; cut > 0 && sent > cut {
			http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}

		data, _ := protojson.Marshal(event)
		fmt.Fprintf(w, "id: %d\nevent: %s\ndata: %s\n\n", event.GetSequence(), kindOf(event), data)

		if event.GetAgentJoined() != nil {
			fmt.Fprint(w, "event: text_delta\ndata: {}\n\n")
		}
	}

	fmt.Fprint(w, ": end\n\n")
}

// happen appends what a turn is, up to a question.
func (g *fakeGateway) happen(c *fakeConversation, events []*eventv1.Event) {
	if g.mangle != nil {
		events = g.mangle(c, events)
	}

	for i, event := range events {
		if event.GetTurnWaiting() != nil {
			events, c.held = events[:i+1], events[i+1:]

			break
		}
	}

	c.append(events...)
}

// turn is what happens after a message when all is well.
func (g *fakeGateway) turn(c *fakeConversation, text string) []*eventv1.Event {
	turn := "t" + strconv.Itoa(len(c.turns))
	events := []*eventv1.Event{{TurnId: turn, Kind: &eventv1.Event_TurnAccepted{TurnAccepted: &eventv1.TurnAccepted{Text: text}}}}

	if c.pin == "" {
		c.pin = g.route()
		events = append(events, by(turn, c.pin, &eventv1.Event{Kind: &eventv1.Event_AgentJoined{
			AgentJoined: &eventv1.AgentJoined{Agent: "billing", Revision: c.pin},
		}}))
	} else if to := g.withdrawn[c.pin]; to != "" {
		events = append(events, by(turn, to, &eventv1.Event{Kind: &eventv1.Event_RevisionChanged{
			RevisionChanged: &eventv1.RevisionChanged{Agent: "billing", FromRevision: c.pin, ToRevision: to},
		}}))
		c.pin = to
	}

	return append(events,
		by(turn, c.pin, &eventv1.Event{Kind: &eventv1.Event_SegmentStarted{SegmentStarted: &eventv1.SegmentStarted{Agent: "billing"}}}),
		by(turn, c.pin, &eventv1.Event{Kind: &eventv1.Event_AgentMessage{AgentMessage: &eventv1.AgentMessage{
			MessageId: turn + "-1", Text: "Done.",
		}}}),
		by(turn, c.pin, &eventv1.Event{Kind: &eventv1.Event_TurnCompleted{TurnCompleted: &eventv1.TurnCompleted{Text: "Done."}}}))
}

func by(turn, revision string, event *eventv1.Event) *eventv1.Event {
	event.TurnId, event.Agent, event.Revision = turn, "billing", revision

	return event
}

func (g *fakeGateway) route() string {
	if g.random.IntN(100) < int(g.rollout.GetAppliedWeight()) {
		return g.rollout.GetCandidate()
	}

	return g.rollout.GetStable()
}

func (g *fakeGateway) events(w http.ResponseWriter, r *http.Request) {
	from, _ := strconv.ParseInt(r.URL.Query().Get("from"), 10, 64)

	g.mu.Lock()
	defer g.mu.Unlock()

	c := g.find(r)
	end := min(from+4, int64(len(c.log))) // pages are small, so that there are some
	reply(w, &conversationv1.ListEventsResponse{Events: c.log[min(from-1, end):end], Version: int64(len(c.log))})
}

func (g *fakeGateway) approve(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()

	c := g.find(r)
	held := c.held
	c.held = nil
	c.append(append([]*eventv1.Event{{TurnId: c.log[len(c.log)-1].GetTurnId(), Kind: &eventv1.Event_InputResolved{
		InputResolved: &eventv1.InputResolved{CallId: r.PathValue("call"), Decision: eventv1.Decision_DECISION_APPROVE},
	}}}, held...)...)
	reply(w, &conversationv1.ResolveInputResponse{})
}

func (g *fakeGateway) getRollout(w http.ResponseWriter, _ *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()

	reply(w, &rolloutv1.GetRolloutResponse{Rollout: g.rollout})
}

func (g *fakeGateway) getRevision(w http.ResponseWriter, _ *http.Request) {
	declaration, _ := json.Marshal(map[string]any{"spec": map[string]any{"prompt": map[string]any{"inline": "Be kind."}}})
	reply(w, &rolloutv1.GetRevisionResponse{Agent: "billing", Declaration: string(declaration)})
}

// steer carries everything out at once.
func (g *fakeGateway) steer(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()

	body, _ := io.ReadAll(r.Body)
	verb := strings.TrimPrefix(r.PathValue("verb"), "billing:")
	g.actions = append(g.actions, verb+" "+string(body))
	now := g.rollout

	switch verb {
	case "start":
		request := &rolloutv1.StartRolloutRequest{}
		if err := protojson.Unmarshal(body, request); err != nil || !strings.Contains(request.GetDeclaration(), "Be kind.\\n") {
			g.t.Errorf("start: %v, %s", err, body)
		}

		now.Candidate, now.AppliedWeight, now.Phase = revisionB, request.GetPlan().GetSteps()[0], rolloutv1.Phase_PHASE_PROGRESSING
		now.Plan = request.GetPlan()
	case "retry":
		delete(g.withdrawn, revisionB)
		now.AppliedWeight, now.Phase = now.GetPlan().GetSteps()[0], rolloutv1.Phase_PHASE_PROGRESSING
	case "abort":
		g.withdrawn[revisionB] = revisionA
		now.AppliedWeight, now.Phase = 0, rolloutv1.Phase_PHASE_FAILED
	case "promote":
		now.Stable, now.Candidate, now.AppliedWeight, now.Phase = revisionB, "", 0, rolloutv1.Phase_PHASE_SUCCEEDED
	case "undo":
		g.withdrawn[revisionB] = revisionA
		now.Stable, now.Phase = revisionA, rolloutv1.Phase_PHASE_FAILED
	}

	reply(w, &rolloutv1.AbortRolloutResponse{Rollout: now})
}

// hang serves a request by not answering it.
func hang(r *http.Request) {
	io.Copy(io.Discard, r.Body) // or the server does not see that the client is gone
	<-r.Context().Done()
}

func reply(w http.ResponseWriter, message proto.Message) {
	data, _ := protojson.Marshal(message)
	w.Header().Set("Content-Type", "application/json")
	w.Write(data)
}

func refuse(w http.ResponseWriter, status int, code, reason string) {
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"error":{"code":%q,"reason":%q,"message":"no"}}`, code, reason)
}
