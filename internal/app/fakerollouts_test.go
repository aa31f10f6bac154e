package app

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	rolloutv1 "github.com/serinhq/serin/gen/serin/rollout/v1"
)

// fakeRollouts is the REST door in front of rollouts that a test wrote beforehand.
type fakeRollouts struct {
	*httptest.Server

	t *testing.T
	// streams are what each watch is sent, one after the other; a watch is cut after its last change, the last one stays.
	streams [][]*rolloutv1.WatchRolloutsResponse
	// revisions are declarations by name.
	revisions map[string]string
	// refuse answers commands.
	refuse string

	mu       sync.Mutex
	rollouts []*rolloutv1.Rollout
	problems []string
	requests []string
}

func newFakeRollouts(t *testing.T, rollouts ...*rolloutv1.Rollout) *fakeRollouts {
	t.Helper()

	f := &fakeRollouts{t: t, rollouts: rollouts, revisions: map[string]string{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/rollouts", f.list)
	mux.HandleFunc("GET /v1/rollouts/{agent}", f.get)
	mux.HandleFunc("POST /v1/rollouts/{command}", f.command)
	mux.HandleFunc("GET /v1/rollouts/{agent}/history", f.history)
	mux.HandleFunc("GET /v1/rollouts/{agent}/revisions/{revision}", f.revision)

	f.Server = httptest.NewServer(mux)
	t.Cleanup(func() {
		f.CloseClientConnections()
		f.Close()
	})

	return f
}

func (f *fakeRollouts) list(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Accept") == "text/event-stream" {
		f.stream(w, r)

		return
	}

	f.reply(w, &rolloutv1.ListRolloutsResponse{Rollouts: f.rollouts, Problems: f.problems})
}

func (f *fakeRollouts) get(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Accept") == "text/event-stream" {
		f.stream(w, r)

		return
	}

	for _, rollout := range f.rollouts {
		if rollout.GetAgent() == r.PathValue("agent") {
			f.reply(w, &rolloutv1.GetRolloutResponse{Rollout: rollout})

			return
		}
	}

	f.fail(w, http.StatusNotFound, "NOT_FOUND", "AGENT_UNKNOWN", "there is no agent "+r.PathValue("agent"))
}

// command notes what was asked, and answers with the first rollout.
func (f *fakeRollouts) command(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)

	f.mu.Lock()
	f.requests = append(f.requests, r.PathValue("command")+" "+strings.ReplaceAll(string(body), " ", ""))
	f.mu.Unlock()

	switch f.refuse {
	case "":
		f.reply(w, &rolloutv1.GetRolloutResponse{Rollout: f.rollouts[0]})
	case "INVALID":
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprint(w, `{"error":{"code":"INVALID_ARGUMENT","reason":"INVALID","message":"m",`+
			`"fieldViolations":[{"field":"declaration","message":"spec.handoffs[0].agent: no agent \"x\""}]}}`)
	default:
		f.fail(w, http.StatusConflict, "FAILED_PRECONDITION", f.refuse, "there is nothing to do; do something else")
	}
}

func (f *fakeRollouts) seen() string {
	f.mu.Lock()
	defer f.mu.Unlock()

	return strings.Join(f.requests, "\n")
}

func (f *fakeRollouts) history(w http.ResponseWriter, r *http.Request) {
	entry := &rolloutv1.HistoryEntry{
		Actor: "acme/ann", Action: "abort", Attempt: 2, Reason: "it\nis bad",
		Before: &rolloutv1.Snapshot{Phase: rolloutv1.Phase_PHASE_PROGRESSING, Stable: "aaa", Candidate: "bbb", Weight: 5},
		After:  &rolloutv1.Snapshot{Phase: rolloutv1.Phase_PHASE_ABORTING, Stable: "aaa"},
	}
	answer := &rolloutv1.ListHistoryResponse{Entries: []*rolloutv1.HistoryEntry{entry}}

	if r.URL.Query().Get("pageToken") == "" {
		answer.NextPageToken = "2"
	}

	f.reply(w, answer)
}

func (f *fakeRollouts) revision(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("agent") + " " + r.PathValue("revision")

	declaration, known := f.revisions[name]
	if !known {
		f.fail(w, http.StatusNotFound, "NOT_FOUND", "REVISION_UNKNOWN", "there is no revision "+name)

		return
	}

	f.reply(w, &rolloutv1.GetRevisionResponse{
		Agent: r.PathValue("agent"), Revision: r.PathValue("revision") + strings.Repeat("0", 52), Declaration: declaration,
	})
}

func (f *fakeRollouts) stream(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	changes := f.streams[0]
	last := len(f.streams) == 1

	if !last {
		f.streams = f.streams[1:]
	}
	f.mu.Unlock()

	w.Header().Set("Content-Type", "text/event-stream")

	for _, change := range changes {
		data, err := protojson.Marshal(change)
		if err != nil {
			f.t.Error(err)
		}

		fmt.Fprintf(w, "event: rollouts\ndata: %s\n\n", data)
	}

	w.(http.Flusher).Flush()

	if !last {
		panic(http.ErrAbortHandler)
	}

	<-r.Context().Done()
}

func (f *fakeRollouts) reply(w http.ResponseWriter, message proto.Message) {
	data, err := protojson.Marshal(message)
	if err != nil {
		f.t.Error(err)
	}

	_, _ = w.Write(data)
}

func (f *fakeRollouts) fail(w http.ResponseWriter, status int, code, reason, text string) {
	w.WriteHeader(status)

	_ = json.NewEncoder(w).Encode(map[string]any{"error": map[string]any{"code": code, "reason": reason, "message": text}})
}

// aRollout is one in progress, with everything in it.
func aRollout() *rolloutv1.Rollout {
	at := timestamppb.New(time.Date(2026, 3, 1, 12, 30, 0, 0, time.Local))

	return &rolloutv1.Rollout{
		Agent: "billing", Phase: rolloutv1.Phase_PHASE_PROGRESSING, Attempt: 2, Stable: "aaaaaaaaaaaa", Candidate: "bbbbbbbbbbbb",
		Weight: 25, AppliedWeight: 5, Step: 2, StartedAt: at, Since: at,
		Plan:   &rolloutv1.Plan{Steps: []int32{5, 25, 100}, Pause: durationpb.New(10 * time.Minute), Automatic: true},
		Reason: "the gate let it pass", WaitingFor: "12 more turns", Gate: "thresholds",
		Revisions: []*rolloutv1.Revision{
			{
				Revision: "aaaaaaaaaaaa", Role: "stable", Weight: 75, ReadyReplicas: 2, Replicas: 2, PinnedConversations: 41, Running: 3,
				Numbers: &rolloutv1.Numbers{
					Conversations: 120, Turns: 400, Failed: 2, P50: durationpb.New(1234 * time.Microsecond),
					P95: durationpb.New(45678 * time.Microsecond), P99: durationpb.New(1234567 * time.Microsecond),
					TokensPerTurn: 812.4, CostPerTurnUsd: 0.00123, ThumbsUp: 3,
				},
			},
			{Revision: "bbbbbbbbbbbb", Role: "candidate", Weight: 25, Replicas: 1, Numbers: &rolloutv1.Numbers{}},
		},
		Problems: []string{"a process\nis not there"},
	}
}

// anIdleRollout is one that nothing goes on with.
func anIdleRollout() *rolloutv1.Rollout {
	return &rolloutv1.Rollout{Agent: "triage", Phase: rolloutv1.Phase_PHASE_IDLE, Stable: "cccccccccccc", Reason: "it is the first"}
}

func changeTo(rollouts ...*rolloutv1.Rollout) *rolloutv1.WatchRolloutsResponse {
	return &rolloutv1.WatchRolloutsResponse{Rollouts: rollouts}
}
