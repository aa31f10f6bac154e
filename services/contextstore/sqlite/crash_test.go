package sqlite_test

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
	"github.com/serinhq/serin/services/contextstore"
	"github.com/serinhq/serin/services/contextstore/storetest"
)

// crashEnv names the database to a child process that is to be killed.
const crashEnv = "SERIN_TEST_CRASH_DATABASE"

// crashWriters is how many goroutines of a child append at once, each to a conversation of its own.
const crashWriters = 3

// acknowledged is an append that a child said was done.
type acknowledged struct {
	conversation string
	sequence     int64
	text         string
}

// TestSurvivesSIGKILL kills a process that appends, again and again, at random moments. Afterwards every event that was
// acknowledged is in its log, once, and no log has a gap.
func TestSurvivesSIGKILL(t *testing.T) {
	if path := os.Getenv(crashEnv); path != "" {
		appendForever(t, path)
	}

	path := filepath.Join(t.TempDir(), "context.db")
	rounds := 25

	switch {
	case testing.Short():
		rounds = 5
	case storetest.Slow:
		rounds = 10
	}

	told := make([]acknowledged, 0, 100*rounds)
	for round := range rounds {
		told = append(told, untilKilled(t, path, 1+rand.IntN(120), time.Duration(rand.IntN(3000))*time.Microsecond)...)

		if t.Failed() {
			t.Fatalf("in round %d", round)
		}
	}

	if len(told) < rounds {
		t.Fatalf("only %d appends were acknowledged in %d rounds", len(told), rounds)
	}

	service := serviceAt(t, path)

	logs := map[string][]*eventv1.Event{}
	for _, one := range told {
		if logs[one.conversation] == nil {
			logs[one.conversation] = readLog(t, service, one.conversation)
		}

		checkAcknowledged(t, logs[one.conversation], one)
	}

	t.Logf("%d acknowledged appends in %d conversations over %d kills", len(told), len(logs), rounds)
}

// checkAcknowledged looks an append up in its log: there, at its place, and once.
func checkAcknowledged(t *testing.T, log []*eventv1.Event, one acknowledged) {
	t.Helper()

	found := 0

	for _, event := range log {
		if event.GetMessagePart().GetText() == one.text {
			found++
		}
	}

	if int64(len(log)) < one.sequence || log[one.sequence-1].GetMessagePart().GetText() != one.text || found != 1 {
		t.Errorf("acknowledged event %d of %s (%s) is in the log %d times", one.sequence, one.conversation, one.text, found)
	}
}

// untilKilled runs a child until it has acknowledged some appends and a moment has passed, and kills it.
func untilKilled(t *testing.T, path string, after int, moment time.Duration) []acknowledged {
	t.Helper()

	child := exec.Command(os.Args[0], "-test.run=^TestSurvivesSIGKILL$")
	child.Env = append(os.Environ(), crashEnv+"="+path)

	output, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}

	if err := child.Start(); err != nil {
		t.Fatal(err)
	}

	var told []acknowledged

	lines := bufio.NewScanner(output)
	for lines.Scan() {
		one, err := parseAcknowledged(lines.Text())
		if err != nil {
			t.Error(err)

			break
		}

		if told = append(told, one); len(told) == after {
			time.AfterFunc(moment, func() { _ = child.Process.Kill() })
		}
	}

	_ = child.Process.Kill()
	_ = child.Wait() // it was killed

	return told
}

func parseAcknowledged(line string) (one acknowledged, err error) {
	fields := strings.Fields(line)
	if len(fields) != 3 {
		return one, fmt.Errorf("the child said %q", line)
	}

	one.conversation, one.text = fields[0], fields[2]
	one.sequence, err = strconv.ParseInt(fields[1], 10, 64)

	return one, err
}

// appendForever is the child: it acknowledges each append with one line, written at once.
func appendForever(t *testing.T, path string) {
	t.Helper()

	service := serviceAt(t, path)

	var group sync.WaitGroup

	for range crashWriters {
		group.Go(func() {
			name := fmt.Sprintf("%d-%d", os.Getpid(), rand.Uint64())
			turn := startTurn(t, service, name)

			for i := 0; ; i++ {
				appendOne(t, service, turn, fmt.Sprintf("%s-%d", name, i))
			}
		})
	}

	group.Wait()
}

func appendOne(t *testing.T, service *contextstore.Service, turn *contextv1.Turn, text string) {
	t.Helper()

	response, err := service.Append(peer(t.Context(), "triage"), &contextv1.AppendRequest{
		ConversationId: turn.GetConversationId(), RequestId: text,
		Lease:  &contextv1.LeaseRef{TurnId: turn.GetTurnId(), Epoch: turn.GetEpoch()},
		Events: []*eventv1.Event{{Kind: partOf(text)}},
	})
	if err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}

	fmt.Println(turn.GetConversationId(), response.GetVersion(), text)
}

// serviceAt opens a service over a database file.
func serviceAt(t *testing.T, path string) *contextstore.Service {
	t.Helper()

	service, err := contextstore.New(contextstore.Config{Store: openAt(t, path)})
	if err != nil {
		t.Fatal(err)
	}

	t.Cleanup(func() {
		if err := service.Close(); err != nil {
			t.Error(err)
		}
	})

	return service
}

// readLog reads a whole log, which must have no gaps.
func readLog(t *testing.T, service *contextstore.Service, conversation string) []*eventv1.Event {
	t.Helper()

	var log []*eventv1.Event

	for {
		page, err := service.ReadEvents(t.Context(), &contextv1.ReadEventsRequest{
			ConversationId: conversation, FromSequence: int64(len(log)) + 1,
		})
		if err != nil {
			t.Fatal(err)
		}

		for _, event := range page.GetEvents() {
			if log = append(log, event); event.GetSequence() != int64(len(log)) {
				t.Fatalf("%s has event %d at place %d", conversation, event.GetSequence(), len(log))
			}
		}

		if int64(len(log)) == page.GetVersion() {
			return log
		}
	}
}
