package postgres_test

import (
	"context"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"google.golang.org/grpc/codes"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	"github.com/serinhq/serin/internal/fault"
	"github.com/serinhq/serin/internal/rpc"
	"github.com/serinhq/serin/services/contextstore"
	"github.com/serinhq/serin/services/contextstore/postgres"
)

// tenantTables are those whose rows belong to a tenant.
var tenantTables = []string{"conversations", "events", "requests", "pins", "turns", "shared_state", "memories"}

// TestRowsAreOfTheirTenant: by SQL, as the very user that owns the tables, another tenant's rows can't be seen, changed,
// deleted or made, and no rows at all by who does not say whose.
func TestRowsAreOfTheirTenant(t *testing.T) {
	t.Parallel()

	at := database(t)
	replica := replicaOf(t, postgres.Config{URL: at})
	turn := replica.running(t, "one") // acme's

	if _, err := replica.PutState(peer(t.Context(), rpc.Gateway), &contextv1.PutStateRequest{
		Scope: "tenant/acme", Key: "k", Value: []byte("v"),
	}); err != nil {
		t.Fatal(err)
	}

	if _, err := replica.CreateMemory(peer(t.Context(), "triage"), &contextv1.CreateMemoryRequest{
		Owner: &contextv1.CreateMemoryRequest_Lease{Lease: leaseOf(turn)}, MemoryId: "m", Text: "prefers tea",
	}); err != nil {
		t.Fatal(err)
	}

	conn, err := pgx.Connect(t.Context(), at)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())

	for _, whose := range []struct {
		tenant string
		sees   bool
	}{{"acme", true}, {"other", false}, {"", false}, {"*", false}, {"%", false}} {
		if _, err := conn.Exec(t.Context(), "SELECT set_config('serin.tenant', $1, false)", whose.tenant); err != nil {
			t.Fatal(err)
		}

		for _, table := range tenantTables {
			var rows int
			if err := conn.QueryRow(t.Context(), "SELECT count(*) FROM "+table).Scan(&rows); err != nil {
				t.Fatal(err)
			}

			if (rows > 0) != whose.sees {
				t.Errorf("tenant %q sees %d rows of %s", whose.tenant, rows, table)
			}
		}
	}

	cross(t, conn, turn.GetConversationId())
}

// cross tries, as a tenant, to write to another's rows.
func cross(t *testing.T, conn *pgx.Conn, conversation string) {
	t.Helper()

	if _, err := conn.Exec(t.Context(), "SELECT set_config('serin.tenant', 'other', false)"); err != nil {
		t.Fatal(err)
	}

	for _, statement := range []string{
		"UPDATE conversations SET agent = 'mine'", "UPDATE conversations SET tenant = 'other'", "DELETE FROM events",
		"UPDATE turns SET lease_holder = 'me'", "DELETE FROM shared_state", "DELETE FROM memories", "UPDATE memories SET text = 'mine'", "UPDATE memories SET tenant = 'other'",
	} {
		done, err := conn.Exec(t.Context(), statement)
		if err != nil || done.RowsAffected() != 0 {
			t.Errorf("%s: %d rows, %v", statement, done.RowsAffected(), err)
		}
	}

	_, err := conn.Exec(t.Context(), `INSERT INTO events (conversation_id, sequence, created_at, data, tenant)
		VALUES ($1, 99, 0, '', 'acme')`, conversation)
	if err == nil || !strings.Contains(err.Error(), "row-level security") {
		t.Errorf("an event was made for another tenant: %v", err)
	}
}

// TestTransactionsKeepToTheirTenant: through the store, a transaction about one tenant's conversation finds nothing of
// another's, and what it says it is about bounds what it writes.
func TestTransactionsKeepToTheirTenant(t *testing.T) {
	t.Parallel()

	replica := replicaOf(t, postgres.Config{URL: database(t)})
	mine, theirs := replica.open(t, "acme", "a"), replica.open(t, "other", "b")
	replica.accept(t, theirs, "t-theirs")

	about := contextstore.About{Conversation: mine}

	if err := replica.store.View(t.Context(), about, func(reader contextstore.Reader) error {
		if _, err := reader.Conversation(mine); err != nil {
			t.Error(err)
		}

		if _, err := reader.Conversation(theirs); fault.CodeOf(err) != codes.NotFound {
			t.Errorf("another tenant's conversation: %v", err)
		}

		if _, err := reader.Turn("t-theirs"); fault.CodeOf(err) != codes.NotFound {
			t.Errorf("another tenant's turn: %v", err)
		}

		events, err := reader.Events(theirs, 1, 10, 1000)
		if len(events) > 0 || err != nil {
			t.Errorf("another tenant's log: %v, %v", events, err)
		}

		return nil
	}); err != nil {
		t.Fatal(err)
	}

	if err := replica.store.Update(t.Context(), about, func(tx contextstore.Tx) error {
		return tx.PutPin(theirs, "triage", "bbbbbbbbbbbb")
	}); !fault.Is(err, "NOT_ABOUT") {
		t.Errorf("a transaction about one conversation wrote to another: %v", err)
	}

	listed, err := replica.ListConversations(peer(t.Context(), rpc.Gateway), &contextv1.ListConversationsRequest{Tenant: "other"})
	if err != nil || len(listed.GetConversations()) != 1 || listed.GetConversations()[0].GetConversationId() != theirs {
		t.Errorf("the other tenant's conversations are %v, %v", listed, err)
	}
}
