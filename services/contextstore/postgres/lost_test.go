package postgres_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	"github.com/serinhq/serin/internal/fault"
	"github.com/serinhq/serin/internal/rpc"
	"github.com/serinhq/serin/internal/testenv"
	"github.com/serinhq/serin/services/contextstore"
	"github.com/serinhq/serin/services/contextstore/postgres"
)

// TestAQueueOutlivesTheServersAbsence: however many wait, in one lane, all of them go on once it is back.
func TestAQueueOutlivesTheServersAbsence(t *testing.T) {
	t.Parallel()

	const writers, tries = 300, 6

	through, at := proxied(t, database(t))
	store := openWith(t, postgres.Config{URL: at, Lanes: 1})

	through.fall()

	var group sync.WaitGroup

	for i := range writers {
		group.Go(func() {
			if err := put(t.Context(), store, strconv.Itoa(i), 1); err != nil {
				t.Error(err)
			}
		})
	}

	for range tries {
		<-through.refused
	}

	through.down.Store(false)

	began := time.Now()

	group.Wait()

	if took := time.Since(began); took > patience/2 {
		t.Errorf("%d transactions took %s once the server was back", writers, took)
	}
}

// put writes a value.
func put(ctx context.Context, store *postgres.Store, key string, version int64) error {
	return store.Update(ctx, contextstore.About{Scope: "tenant/acme", Tenant: "acme"}, func(tx contextstore.Tx) error {
		return tx.PutState("tenant/acme", key, nil, version)
	})
}

// TestDeadlinesHoldWhileTheServerIsAway: who waits is told in time that it can't be reached.
func TestDeadlinesHoldWhileTheServerIsAway(t *testing.T) {
	t.Parallel()

	const limit = 300 * time.Millisecond

	through, at := proxied(t, database(t))
	store := openWith(t, postgres.Config{URL: at, Lanes: 1})
	through.fall()

	unavailable := func(what string, err error, took time.Duration) {
		if !fault.Is(err, "STORE_UNAVAILABLE") || fault.CodeOf(err) != codes.Unavailable {
			t.Errorf("%s: got %v", what, err)
		}

		if took > patience/4 {
			t.Errorf("%s took %s", what, took)
		}
	}

	var group sync.WaitGroup

	for i := range 100 {
		group.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()

			began := time.Now()

			if i%2 == 0 {
				unavailable("a write", put(ctx, store, strconv.Itoa(i), 1), time.Since(began))
			} else {
				unavailable("a read", store.View(ctx, contextstore.About{}, func(reader contextstore.Reader) error {
					_, err := reader.LastOutcome()

					return err
				}), time.Since(began))
			}
		})
	}

	group.Wait()
}

// TestAnswersAboutCommitsAreLost, too: asked again, the database says the same.
func TestAnswersAboutCommitsAreLost(t *testing.T) {
	t.Parallel()

	through, at := proxied(t, database(t))
	store := openWith(t, postgres.Config{URL: at})
	never, once := postgres.NewMarker(), postgres.NewMarker()

	if err := store.Leave(t.Context(), once); err != nil {
		t.Fatal(err)
	}

	for range 3 {
		through.mute.Store(&muted{tag: "INSERT 0 "})

		if made, err := store.Settled(t.Context(), never); made || err != nil {
			t.Errorf("a commit that was not made: %t, %v", made, err)
		}

		if made, err := store.Settled(t.Context(), once); !made || err != nil {
			t.Errorf("one that was made: %t, %v", made, err)
		}
	}

	if err := store.Leave(t.Context(), never); err == nil {
		t.Error("a commit was made of which it was said that it was not")
	}
}

// TestLostCommits: what became of a commit whose answer was lost, or that never arrived, is found out, and told as it is.
func TestLostCommits(t *testing.T) {
	t.Parallel()

	through, at := proxied(t, database(t))
	replica := replicaOf(t, postgres.Config{URL: at, Lanes: 1})
	ctx := peer(t.Context(), rpc.Gateway)

	loses := map[string]func(){
		"the answer":  func() { through.mute.Store(&muted{tag: "COMMIT\x00"}) },
		"the request": func() { through.deaf.Store(true) },
	}

	for what, lose := range loses {
		key := strings.ReplaceAll(what, " ", "-")

		for version := range int64(3) {
			lose()

			written, err := replica.PutState(ctx, &contextv1.PutStateRequest{
				Scope: "tenant/acme", Key: key, Value: []byte(what), ExpectedVersion: version,
			})
			if err != nil || written.GetVersion() != version+1 {
				t.Errorf("%s of PutState was lost: version %d, %v", what, written.GetVersion(), err)
			}
		}

		conversation := replica.open(t, "acme", key)

		lose()

		if _, err := replica.DeleteConversation(ctx, &contextv1.DeleteConversationRequest{ConversationId: conversation}); err != nil {
			t.Errorf("%s of DeleteConversation was lost: %v", what, err)
		}

		_, err := replica.GetConversation(ctx, &contextv1.GetConversationRequest{ConversationId: conversation})
		if fault.CodeOf(err) != codes.NotFound {
			t.Errorf("the conversation was deleted, and GetConversation says %v", err)
		}
	}

	if through.deaf.Load() || through.mute.Load() != nil {
		t.Error("nothing was lost")
	}
}

// TestLostAppends: an event whose commit got lost is in the log once, however it was written.
func TestLostAppends(t *testing.T) {
	t.Parallel()

	through, at := proxied(t, database(t))
	replica := replicaOf(t, postgres.Config{URL: at, Lanes: 1})
	turn := replica.running(t, "one")

	for i := range 12 {
		text := strconv.Itoa(i)

		switch i % 6 { // in between, guesses become possible again
		case 2:
			through.mute.Store(&muted{tag: "INSERT 0 1\x00"})
		case 5:
			through.deaf.Store(true)
		}

		if _, err := replica.say(t.Context(), turn, text, nil); err != nil {
			t.Errorf("append %d: %v", i, err)
		}
	}

	counts := said(replica.log(t, turn.GetConversationId()))
	for text, count := range counts {
		if count != 1 {
			t.Errorf("%s is in the log %d times", text, count)
		}
	}

	if len(counts) != 12 || through.deaf.Load() || through.mute.Load() != nil {
		t.Errorf("%d texts are in the log", len(counts))
	}
}

// TestACommitThatNobodyKnowsOf: is told as such, and never as a conflict with itself.
func TestACommitThatNobodyKnowsOf(t *testing.T) {
	t.Parallel()

	through, at := proxied(t, database(t))
	store := openWith(t, postgres.Config{URL: at, Lanes: 1})

	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()

	through.mute.Store(&muted{tag: "COMMIT\x00", down: true})

	if err := put(ctx, store, "k", 1); !fault.Is(err, "COMMIT_UNKNOWN") || fault.CodeOf(err) != codes.Unavailable {
		t.Errorf("got %v", err)
	}

	through.down.Store(false)

	if err := store.View(t.Context(), contextstore.About{Scope: "tenant/acme", Tenant: "acme"}, func(reader contextstore.Reader) error {
		if _, version, err := reader.State("tenant/acme", "k"); err != nil || version != 1 {
			t.Errorf("it was committed, and reads as version %d, %v", version, err)
		}

		return nil
	}); err != nil {
		t.Error(err)
	}
}

// crowded is a database that allows no connections until it is told otherwise.
type crowded struct {
	t    *testing.T
	at   string
	name string
}

func (c *crowded) limit(connections int) {
	c.t.Helper()
	testenv.SharedPostgres(c.t).Exec(c.t, "postgres", fmt.Sprintf("ALTER DATABASE %s CONNECTION LIMIT %d", c.name, connections))
}

func crowd(t *testing.T) *crowded {
	t.Helper()

	at := database(t)

	return &crowded{t, at, strings.TrimPrefix(must(url.Parse(at)).Path, "/")}
}

// wrote tells when something is logged.
type wrote struct{ lines chan string }

func (w *wrote) Write(line []byte) (int, error) {
	w.lines <- string(line)

	return len(line), nil
}

// TestOpenWaitsForConnections: a server that has none to spare will have some, and says so if it has not.
func TestOpenWaitsForConnections(t *testing.T) {
	t.Parallel()

	crowd := crowd(t)
	crowd.limit(0)

	_, err := postgres.Open(t.Context(), postgres.Config{URL: crowd.at, Patience: 100 * time.Millisecond})
	refused(t, err, codes.Unavailable, "DATABASE_NOT_READY", "too many connections")

	told := &wrote{make(chan string, 1)}
	opened := make(chan *postgres.Store)

	go func() {
		store, err := postgres.Open(t.Context(), postgres.Config{URL: crowd.at, Logger: slog.New(slog.NewTextHandler(told, nil))})
		if err != nil {
			t.Error(err)
		}

		opened <- store
	}()

	if line := <-told.lines; !strings.Contains(line, "waiting for the database") {
		t.Errorf("the log says %q", line)
	}

	crowd.limit(-1)

	if store := <-opened; store != nil {
		store.Close()
	}
}

// TestConnectionsThatAreEndedComeBack: an administrator ends them all, and lets none in for a while.
func TestConnectionsThatAreEndedComeBack(t *testing.T) {
	t.Parallel()

	crowd := crowd(t)
	store := openWith(t, postgres.Config{URL: crowd.at, Lanes: 1})

	if err := put(t.Context(), store, "before", 1); err != nil {
		t.Fatal(err)
	}

	crowd.limit(0)
	testenv.SharedPostgres(t).Exec(t, "postgres",
		fmt.Sprintf("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '%s'", crowd.name))

	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()

	if err := put(ctx, store, "meanwhile", 1); !fault.Is(err, "STORE_UNAVAILABLE") {
		t.Errorf("without connections: %v", err)
	}

	after := make(chan error, 1)
	go func() { after <- put(t.Context(), store, "after", 1) }()

	crowd.limit(-1)

	if err := <-after; err != nil {
		t.Error(err)
	}
}
