package postgres_test

import (
	"fmt"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	"github.com/serinhq/serin/internal/fault"
	"github.com/serinhq/serin/internal/testenv"
	"github.com/serinhq/serin/services/contextstore/postgres"
)

// TestRestartsOfTheServer shuts the server down under writers and followers, politely and not: what was acknowledged is
// in the log, once, and followers get all of it.
func TestRestartsOfTheServer(t *testing.T) {
	if testing.Short() {
		t.Skip("takes several seconds")
	}

	server := testenv.OwnPostgres(t)
	name := server.NewName()
	server.CreateDatabase(t, name, "")

	// The tests' servers do not wait for what they write; what is acknowledged here must survive.
	at := with(t, server.URLOf(t, name, testenv.PostgresRole), "synchronous_commit", "on")
	if _, err := postgres.Migrate(t.Context(), at, false); err != nil {
		t.Fatal(err)
	}

	both := replicas(t, postgres.Config{URL: at, Poll: 100 * time.Millisecond})
	turn := both[0].running(t, "one")
	follower := both[1].follow(t, turn.GetConversationId())

	var (
		group sync.WaitGroup
		mu    sync.Mutex
		told  = map[string]bool{}
		over  = make(chan struct{})
	)

	for writer := range 4 {
		group.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-over:
					return
				default:
				}

				text := fmt.Sprintf("%d-%d", writer, i)
				sayUntilHeard(t, both[writer%2], turn, text)

				mu.Lock()
				told[text] = true
				mu.Unlock()
			}
		})
	}

	for _, shutdown := range []syscall.Signal{syscall.SIGINT, syscall.SIGQUIT, syscall.SIGINT} {
		<-time.After(200 * time.Millisecond) // some work between them
		if err := server.Restart(shutdown); err != nil {
			t.Fatal(err)
		}
	}

	close(over)
	group.Wait()

	log := both[0].log(t, turn.GetConversationId())
	counts := said(log)

	for text := range told {
		if counts[text] != 1 {
			t.Errorf("%s was acknowledged and is in the log %d times", text, counts[text])
		}
	}

	for text, count := range counts {
		if count != 1 {
			t.Errorf("%s is in the log %d times", text, count)
		}
	}

	follower.reach(t, len(log))
	t.Logf("%d appends were acknowledged over 3 restarts", len(told))
}

// sayUntilHeard appends as callers do: what is UNAVAILABLE is asked for again, under the same request id.
func sayUntilHeard(t *testing.T, replica *replica, turn *contextv1.Turn, text string) {
	t.Helper()

	for deadline := time.Now().Add(patience); ; {
		_, err := replica.say(t.Context(), turn, text, nil)
		if err == nil {
			return
		}

		if fault.CodeOf(err) != codes.Unavailable || time.Now().After(deadline) {
			t.Errorf("append %s: %v", text, err)

			return
		}

		<-time.After(10 * time.Millisecond)
	}
}

// silentServer takes connections and says nothing.
func silentServer(t *testing.T) string {
	t.Helper()

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}

	t.Cleanup(func() { listener.Close() })

	return listener.Addr().String() // the system completes handshakes that nobody accepts
}
