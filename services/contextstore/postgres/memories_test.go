package postgres_test

import (
	"fmt"
	"sync"
	"testing"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	"github.com/serinhq/serin/internal/fault"
	"github.com/serinhq/serin/internal/rpc"
	"github.com/serinhq/serin/internal/testenv"
	"github.com/serinhq/serin/services/contextstore"
	"github.com/serinhq/serin/services/contextstore/postgres"
)

func adas() *contextv1.Person { return &contextv1.Person{Tenant: "acme", User: "ada"} }

// remember stores a memory as triage, under a lease.
func (r *replica) remember(t *testing.T, turn *contextv1.Turn, id string) {
	t.Helper()

	if _, err := r.CreateMemory(peer(t.Context(), "triage"), &contextv1.CreateMemoryRequest{
		Owner: &contextv1.CreateMemoryRequest_Lease{Lease: leaseOf(turn)}, MemoryId: id, Text: "prefers tea",
	}); err != nil {
		t.Fatal(err)
	}
}

// tea returns how many memories of ada a search finds.
func (r *replica) tea(t *testing.T) int {
	t.Helper()

	found, err := r.SearchMemories(peer(t.Context(), rpc.Gateway), &contextv1.SearchMemoriesRequest{
		Owner: &contextv1.SearchMemoriesRequest_Person{Person: adas()}, Query: "tea",
	})
	if err != nil {
		t.Fatal(err)
	}

	return len(found.GetMemories())
}

// TestASchemaWithoutMemories is brought up to date with what it holds, and its turns go on.
func TestASchemaWithoutMemories(t *testing.T) {
	t.Parallel()

	at := testenv.SharedPostgres(t).Database(t, "")
	if _, err := postgres.Migrate(t.Context(), at, false); err != nil {
		t.Fatal(err)
	}

	old := replicaOf(t, postgres.Config{URL: at})
	execute(t, at, "DROP TABLE memories", "DELETE FROM goose_db_version WHERE version_id >= 3")

	_, err := postgres.Open(t.Context(), postgres.Config{URL: at})
	if !fault.Is(err, "SCHEMA_TOO_OLD") {
		t.Fatalf("got %v, want SCHEMA_TOO_OLD", err)
	}

	if err := old.MemoryReady(t.Context()); err == nil {
		t.Error("memories are ready without their table")
	}

	done, err := postgres.Migrate(t.Context(), at, false)
	if err != nil || fmt.Sprint(done.Applied) != "[00003_memories.sql]" {
		t.Fatalf("applied %v, %v", done.Applied, err)
	}

	old.remember(t, old.running(t, "one"), "m")

	if got := old.tea(t); got != 1 {
		t.Errorf("found %d memories, want 1", got)
	}
}

// TestTheReleaseBeforeForgetsMemories: it knows nothing of them, and deletes conversations in their tables alone.
func TestTheReleaseBeforeForgetsMemories(t *testing.T) {
	t.Parallel()

	at := database(t)
	one := replicaOf(t, postgres.Config{URL: at})
	turn, kept := one.running(t, "one"), one.running(t, "two")
	one.remember(t, turn, "m")
	one.remember(t, kept, "n")

	statements := []string{"SET serin.tenant = 'acme'"}
	for _, table := range []string{"events", "requests", "pins", "calls", "turns", "checkpoints", "conversations"} {
		statements = append(statements, fmt.Sprintf("DELETE FROM %s WHERE conversation_id = '%s'", table, turn.GetConversationId()))
	}

	execute(t, at, statements...)

	if got := one.tea(t); got != 1 {
		t.Errorf("%d memories are left, want that of the other conversation", got)
	}
}

// TestMemoriesKeepToTheirUser: what a transaction says it is about bounds what it remembers, and for whom.
func TestMemoriesKeepToTheirUser(t *testing.T) {
	t.Parallel()

	one := replicaOf(t, postgres.Config{URL: database(t)})
	about := contextstore.About{Tenant: "acme", Scope: contextstore.MemoriesOf("acme", "ada")}

	for what, write := range map[string]func(contextstore.Tx) error{
		"another user's memory": func(tx contextstore.Tx) error {
			return tx.InsertMemory(contextstore.Memory{ID: "m", Tenant: "acme", User: "bob"})
		},
		"another tenant's memory": func(tx contextstore.Tx) error {
			return tx.InsertMemory(contextstore.Memory{ID: "m", Tenant: "corp", User: "ada"})
		},
		"another user's deletion": func(tx contextstore.Tx) error { return tx.DeleteMemories("acme", "bob", nil) },
	} {
		if err := one.store.Update(t.Context(), about, write); !fault.Is(err, "NOT_ABOUT") {
			t.Errorf("%s: got %v, want NOT_ABOUT", what, err)
		}
	}
}

// TestMemoriesOfOneTenantAtOnce: users, and context stores, that write at the same time do not stand in each other's way, and
// an id goes to one of them.
func TestMemoriesOfOneTenantAtOnce(t *testing.T) {
	t.Parallel()

	const rounds = 10

	var (
		both   = replicas(t, postgres.Config{URL: database(t)})
		stored = make([]int, 8)
		group  sync.WaitGroup
	)

	write := func(i int) {
		for round := range rounds {
			_, err := both[i%2].CreateMemory(peer(t.Context(), rpc.Gateway), &contextv1.CreateMemoryRequest{
				Owner: &contextv1.CreateMemoryRequest_Person{Person: &contextv1.Person{
					Tenant: "acme", User: fmt.Sprint("user-", i/2),
				}},
				MemoryId: fmt.Sprint("m", round), Text: fmt.Sprint("tea of ", i),
			})

			switch {
			case err == nil:
				stored[i]++
			case !fault.Is(err, "MEMORY_ID_REUSED"):
				t.Error(err)
			}
		}
	}

	for i := range stored {
		group.Go(func() { write(i) })
	}

	group.Wait()

	sum := 0
	for _, one := range stored {
		sum += one
	}

	if sum != rounds {
		t.Errorf("%d memories were stored under %d ids", sum, rounds)
	}
}
