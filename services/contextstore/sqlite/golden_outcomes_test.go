package sqlite_test

import (
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"google.golang.org/protobuf/types/known/durationpb"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
	"github.com/serinhq/serin/internal/rpc"
	"github.com/serinhq/serin/services/contextstore"
)

// goldenForced is the revision of billing that the golden turn forces.
const goldenForced = "cccccccccccc"

// goldenWant is what golden databases of different schemas have to say.
type goldenWant struct {
	// outcomes are those in the file.
	outcomes []string
	// forced is the revision of billing that the turn forces.
	forced string
	// memories are those in the file.
	memories []string
}

// goldens says what a golden file has: the first schema knew neither outcomes nor forced revisions, the third no memories.
func goldens(file string) goldenWant {
	if file == "v1.db" {
		return goldenWant{}
	}

	want := goldenWant{outcomes: []string{"KIND_WAITING triage@aaaaaaaaaaaa 1 step 42 tokens"}, forced: goldenForced}
	if file != "v2.db" && file != "v3.db" {
		want.memories = goldenMemories
	}

	return want
}

// goldenReading is a service over a golden database, and its store.
type goldenReading struct {
	*contextstore.Service

	store contextstore.Store
}

// finishGolden hands the golden turn over and completes it, and looks at what that leaves behind.
func finishGolden(t *testing.T, service goldenReading, conversationID string, want goldenWant) {
	t.Helper()

	handed := service.write(t, "triage", 3, conversationID, &eventv1.Event{Kind: &eventv1.Event_Handoff{
		Handoff: &eventv1.Handoff{FromAgent: "triage", ToAgent: "billing"},
	}})
	if got := handed.GetPinnedRevision(); got != want.forced {
		t.Errorf("billing must have revision %q, want %q", got, want.forced)
	}

	must[*contextv1.AcquireLeaseResponse](t)(service.AcquireLease(peer(t.Context(), "billing"),
		&contextv1.AcquireLeaseRequest{
			TurnId: "t1", Agent: "billing", Revision: goldenForced, Holder: "h3", Ttl: durationpb.New(1e9),
		}))
	service.write(t, "billing", 5, conversationID, &eventv1.Event{Kind: &eventv1.Event_TurnCompleted{
		TurnCompleted: &eventv1.TurnCompleted{Text: "Done."},
	}})

	want.outcomes = append(want.outcomes, "KIND_HANDED_OFF triage@bbbbbbbbbbbb 0 step 0 tokens",
		"KIND_COMPLETED billing@cccccccccccc 0 step 0 tokens")
	if got := service.outcomes(t); !slices.Equal(got, want.outcomes) {
		t.Errorf("the outcomes are\n%q, want\n%q", got, want.outcomes)
	}

	checkGoldenUse(t, service)
}

// write appends to the golden turn as an agent.
func (g goldenReading) write(
	t *testing.T, agent string, epoch int64, conversationID string, event *eventv1.Event,
) *contextv1.Turn {
	t.Helper()

	return must[*contextv1.AppendResponse](t)(g.Append(peer(t.Context(), agent), &contextv1.AppendRequest{
		ConversationId: conversationID, RequestId: fmt.Sprint("epoch-", epoch),
		Lease: &contextv1.LeaseRef{TurnId: "t1", Epoch: epoch}, Events: []*eventv1.Event{event},
	})).GetTurn()
}

// outcomes describes the stored outcomes.
func (g goldenReading) outcomes(t *testing.T) []string {
	t.Helper()

	var told []string

	if err := g.store.View(t.Context(), contextstore.About{}, func(reader contextstore.Reader) error {
		outcomes, err := reader.Outcomes("", 0, 100)
		for _, one := range outcomes {
			told = append(told, fmt.Sprintf("%s %s@%s %d step %d tokens", one.GetKind(), one.GetAgent(), one.GetRevision(),
				one.GetSteps(), one.GetUsage().GetInputTokens()+one.GetUsage().GetOutputTokens()))
		}

		return err
	}); err != nil {
		t.Fatal(err)
	}

	return told
}

// TestNoStatistics: what a database held when it was last closed does not decide how it is searched.
func TestNoStatistics(t *testing.T) {
	path := filepath.Join(t.TempDir(), "context.db")

	old, err := os.ReadFile("testdata/v1.db") // which has statistics
	if err != nil {
		t.Fatal(err)
	}

	if err := os.WriteFile(path, old, 0o600); err != nil {
		t.Fatal(err)
	}

	if err := openAt(t, path).Close(); err != nil {
		t.Fatal(err)
	}

	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()

	var tables int
	if err := db.QueryRow("SELECT COUNT(*) FROM sqlite_schema WHERE name LIKE 'sqlite_stat%'").Scan(&tables); err != nil {
		t.Fatal(err)
	}

	if tables > 0 {
		t.Errorf("there are %d tables of statistics", tables)
	}
}

// checkGoldenUse: the pin of triage moved, also where it was written before anyone counted.
func checkGoldenUse(t *testing.T, service goldenReading) {
	t.Helper()

	listed := must[*contextv1.ListRevisionsResponse](t)(service.ListRevisions(peer(t.Context(), rpc.Controller),
		&contextv1.ListRevisionsRequest{Agent: "triage"})).GetRevisions()

	pinned := map[string]int64{}
	for _, use := range listed {
		pinned[use.GetRevision()] = use.GetPinnedConversations()
	}

	if pinned["bbbbbbbbbbbb"] != 1 || pinned["aaaaaaaaaaaa"] != 0 {
		t.Errorf("the revisions of triage are %v", listed)
	}
}
