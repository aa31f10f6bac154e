package sqlite_test

import (
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
	"github.com/serinhq/serin/internal/fault"
	"github.com/serinhq/serin/internal/rpc"
	"github.com/serinhq/serin/services/contextstore"
	"github.com/serinhq/serin/services/contextstore/sqlite"
)

// makeGolden writes the golden database of the current schema. A golden file that was released is never rewritten: a
// new schema version gets a file of its own.
var makeGolden = flag.String("make-golden", "", "write a golden database to this path")

var goldenTime = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// TestOldDataIsRead opens databases that former releases wrote, and goes on with their turns.
func TestOldDataIsRead(t *testing.T) {
	if *makeGolden != "" {
		writeGolden(t, *makeGolden)
	}

	files, err := filepath.Glob("testdata/v*.db")
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden databases: %v", err)
	}

	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}

			path := filepath.Join(t.TempDir(), "context.db")
			if err := os.WriteFile(path, data, 0o600); err != nil {
				t.Fatal(err)
			}

			service, id := readGolden(t, path)
			want := goldens(filepath.Base(file))
			finishGolden(t, service, id, want)
			checkGoldenMemories(t, service, id, want)
		})
	}
}

// goldenService is a service at the golden time.
func goldenService(t *testing.T, store contextstore.Store) *contextstore.Service {
	t.Helper()

	service, err := contextstore.New(contextstore.Config{Store: store, Now: func() time.Time { return goldenTime }})
	if err != nil {
		t.Fatal(err)
	}

	return service
}

// must returns a response that came without an error.
func must[Response any](t *testing.T) func(Response, error) Response {
	t.Helper()

	return func(response Response, err error) Response {
		t.Helper()

		if err != nil {
			t.Fatal(err)
		}

		return response
	}
}

// writeGolden writes a conversation with a bit of everything, whose turn waits for approval.
func writeGolden(t *testing.T, path string) {
	t.Helper()

	service := goldenService(t, openAt(t, path))
	gateway, triage := peer(t.Context(), rpc.Gateway), peer(t.Context(), "triage")
	id := must[*contextv1.CreateConversationResponse](t)(service.CreateConversation(gateway,
		&contextv1.CreateConversationRequest{RequestId: "golden", Tenant: "acme", User: "ada", Agent: "triage"},
	)).GetConversation().GetConversationId()
	appended := must[*contextv1.AppendResponse](t)

	appended(service.Append(gateway, &contextv1.AppendRequest{
		ConversationId: id, RequestId: "msg/1", RequestDigest: "digest",
		Events: []*eventv1.Event{{TurnId: "t1", Kind: &eventv1.Event_TurnAccepted{TurnAccepted: &eventv1.TurnAccepted{
			Text: "charged twice", Deadline: timestamppb.New(goldenTime.Add(time.Minute)), Actors: []string{"user:ada"},
			Budget: &eventv1.Budget{Steps: 10}, ForcedRevisions: map[string]string{"billing": goldenForced},
		}}}},
	}))
	leased := must[*contextv1.AcquireLeaseResponse](t)(service.AcquireLease(triage, &contextv1.AcquireLeaseRequest{
		TurnId: "t1", Agent: "triage", Revision: "aaaaaaaaaaaa", Holder: "h", Ttl: durationpb.New(time.Second),
	}))
	lease := &contextv1.LeaseRef{TurnId: "t1", Epoch: leased.GetTurn().GetEpoch()}

	writeGoldenMemories(t, service, lease)
	must[*contextv1.SaveCheckpointResponse](t)(service.SaveCheckpoint(triage, &contextv1.SaveCheckpointRequest{
		Lease: lease, Checkpoint: &contextv1.Checkpoint{ConversationId: id, Sequence: 3, Data: []byte("fold"), Format: 1},
	}))
	appended(service.Append(triage, &contextv1.AppendRequest{
		ConversationId: id, RequestId: "step", Lease: lease, Events: []*eventv1.Event{
			{Step: 1, Kind: &eventv1.Event_StepStarted{StepStarted: &eventv1.StepStarted{ReservedTokens: 100}}},
			{Step: 1, Kind: &eventv1.Event_AgentMessage{AgentMessage: &eventv1.AgentMessage{
				MessageId: "m1", Text: "One moment.", Usage: &eventv1.Usage{InputTokens: 40, OutputTokens: 2},
				ToolCalls: []*eventv1.ToolCall{{CallId: "c1", Tool: "refund", Arguments: "{}"}},
			}}},
			{Kind: &eventv1.Event_InputRequested{InputRequested: &eventv1.InputRequested{
				CallId: "c1", Kind: eventv1.InputRequested_KIND_APPROVAL, Tool: "refund", Arguments: "{}",
			}}},
			{Kind: &eventv1.Event_TurnWaiting{TurnWaiting: &eventv1.TurnWaiting{CallIds: []string{"c1"}}}},
		},
	}))
	must[*contextv1.PutStateResponse](t)(service.PutState(gateway, &contextv1.PutStateRequest{
		Scope: "tenant/acme", Key: "plan", Value: []byte("gold"),
	}))
	must[*contextv1.WithdrawResponse](t)(service.Withdraw(peer(t.Context(), rpc.Supervisor), &contextv1.WithdrawRequest{
		Agent: "triage", Revision: "aaaaaaaaaaaa", Replacement: "bbbbbbbbbbbb", Attempt: 1, Cause: "undone",
	}))

	if err := service.Close(); err != nil {
		t.Fatal(err)
	}

	shrink(t, path)
}

// shrink makes the file small and self-contained.
func shrink(t *testing.T, path string) {
	t.Helper()

	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()

	db.SetMaxOpenConns(1)

	for _, statement := range []string{"PRAGMA journal_mode=DELETE", "PRAGMA page_size=512", "VACUUM"} {
		if _, err := db.Exec(statement); err != nil {
			t.Fatal(err)
		}
	}
}

// readGolden reads what writeGolden wrote, and goes on with its turn.
func readGolden(t *testing.T, path string) (reading goldenReading, conversationID string) {
	t.Helper()

	store := openAt(t, path)
	service := goldenService(t, store)
	t.Cleanup(func() {
		if err := service.Close(); err != nil {
			t.Error(err)
		}
	})

	gateway := peer(t.Context(), rpc.Gateway)
	listed := must[*contextv1.ListConversationsResponse](t)(
		service.ListConversations(gateway, &contextv1.ListConversationsRequest{}))
	conversation := listed.GetConversations()[0]
	id := conversation.GetConversationId()

	checkGoldenTurn(t, conversation.GetActiveTurn())
	checkGoldenLog(t, readLog(t, service, id))

	state := must[*contextv1.GetStateResponse](t)(
		service.GetState(gateway, &contextv1.GetStateRequest{Scope: "tenant/acme", Key: "plan"}))
	if string(state.GetValue()) != "gold" || state.GetVersion() != 1 {
		t.Errorf("the shared state is %v", state)
	}

	appended := must[*contextv1.AppendResponse](t)

	replayed := appended(service.Append(gateway, &contextv1.AppendRequest{
		ConversationId: id, RequestId: "msg/1", RequestDigest: "digest",
		Events: []*eventv1.Event{{TurnId: "t2", Kind: &eventv1.Event_TurnAccepted{TurnAccepted: &eventv1.TurnAccepted{}}}},
	}))
	if !replayed.GetReplayed() || replayed.GetTurn().GetTurnId() != "t1" {
		t.Errorf("the old request was answered with %v", replayed)
	}

	appended(service.Append(gateway, &contextv1.AppendRequest{
		ConversationId: id, RequestId: "approve", Events: []*eventv1.Event{{
			Kind: &eventv1.Event_InputResolved{InputResolved: &eventv1.InputResolved{
				CallId: "c1", Decision: eventv1.Decision_DECISION_APPROVE,
			}},
		}},
	}))

	leased := must[*contextv1.AcquireLeaseResponse](t)(service.AcquireLease(peer(t.Context(), "triage"),
		&contextv1.AcquireLeaseRequest{
			TurnId: "t1", Agent: "triage", Revision: "bbbbbbbbbbbb", Holder: "h2", Ttl: durationpb.New(time.Second),
		}))
	if string(leased.GetCheckpoint().GetData()) != "fold" || leased.GetTurn().GetEpoch() != 3 {
		t.Errorf("the lease is %v", leased)
	}

	checkGoldenCall(t, service, id)

	return goldenReading{Service: service, store: store}, id
}

// checkGoldenCall claims the approved call: only for the agent that proposed it.
func checkGoldenCall(t *testing.T, service *contextstore.Service, id string) {
	t.Helper()

	arguments := sha256.Sum256([]byte("{}"))
	request := &contextv1.ClaimCallRequest{
		Lease: &contextv1.LeaseRef{TurnId: "t1", Epoch: 3}, ConversationId: id, CallId: "c1", Tool: "refund", Agent: "billing",
		ArgumentsDigest: hex.EncodeToString(arguments[:]), NeedsApproval: true, Holder: "h2", Ttl: durationpb.New(time.Second),
	}
	tools := peer(t.Context(), rpc.Tools)

	if _, err := service.ClaimCall(tools, request); !fault.Is(err, "CALL_NOT_PROPOSED") {
		t.Errorf("another agent's claim of the call: %v", err)
	}

	request.Agent = "triage"

	claimed := must[*contextv1.ClaimCallResponse](t)(service.ClaimCall(tools, request))
	if claimed.GetStatus() != contextv1.ClaimCallResponse_STATUS_GRANTED {
		t.Errorf("the claim is %v", claimed)
	}
}

func checkGoldenTurn(t *testing.T, got *contextv1.Turn) {
	t.Helper()

	want := &contextv1.Turn{}
	if err := protojson.Unmarshal([]byte(`{
		"turnId": "t1", "tenant": "acme", "user": "ada", "agent": "triage", "status": "TURN_STATUS_INPUT_REQUIRED",
		"epoch": "2", "leaseExpiresAt": "2026-11-24T12:00:00Z", "deadline": "2026-11-24T12:01:00Z",
		"budget": {"steps": 10}, "spent": {"steps": 1, "tokens": "42"}, "visited": [{"agent": "triage"}],
		"actors": ["user:ada", "triage"], "segment": 1, "waitingCallIds": ["c1"], "acceptedSequence": "2",
		"pinnedRevision": "bbbbbbbbbbbb"
	}`), want); err != nil {
		t.Fatal(err)
	}

	want.ConversationId = got.GetConversationId()
	if !proto.Equal(got, want) {
		t.Errorf("the turn is\n%v, want\n%v", got, want)
	}
}

func checkGoldenLog(t *testing.T, log []*eventv1.Event) {
	t.Helper()

	texts := make([]string, 0, len(log))
	for _, event := range log {
		texts = append(texts, event.GetTurnAccepted().GetText()+event.GetAgentMessage().GetText())
	}

	if want := []string{"", "charged twice", "", "", "", "One moment.", "", ""}; !slices.Equal(texts, want) {
		t.Errorf("the log says %q, want %q", texts, want)
	}
}

var _ contextstore.Store = (*sqlite.Store)(nil)
