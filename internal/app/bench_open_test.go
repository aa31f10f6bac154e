package app_test

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"golang.org/x/sync/errgroup"
)

// BenchmarkOpenConversations is what memory conversations take that somebody looks at: each has a user who follows its events
// over REST. Memory is what the processes have for themselves, and their share of what they have in common (PSS).
func BenchmarkOpenConversations(b *testing.B) {
	const wanted = 10_000

	p := startPlatform(b)

	for b.Loop() {
		count := min(wanted, spareFiles(b))
		p.turn() // pins, pools and caches are warm

		before := p.memory()
		conversations, closing := p.openMany(count)
		after := p.memory()

		total := 0.0
		for name, bytes := range after {
			if grown := float64(bytes-before[name]) / float64(count); grown > 100 {
				b.ReportMetric(grown/1024, name+"-KiB/conversation")
			}

			total += float64(bytes - before[name])
		}

		b.ReportMetric(total/float64(count)/1024, "KiB/conversation")
		b.ReportMetric(float64(len(conversations)), "conversations")

		// They are open indeed: what happens in one is shown.
		p.send(conversations[count/2], "Hello")
		closing()
	}
}

// spareFiles is how many connections this process and its children may have.
func spareFiles(tb testing.TB) int {
	tb.Helper()

	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		tb.Fatal(err)
	}

	return int(min(limit.Cur, 1<<20)) - 1000
}

// memory is what each process has, in bytes; revisions of an agent count as one.
func (p *testPlatform) memory() map[string]int64 {
	p.t.Helper()

	taken := map[string]int64{}

	for _, status := range p.platform.Statuses() {
		if status.PID == 0 {
			continue
		}

		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", status.PID))
		if err != nil {
			p.t.Skipf("memory can't be measured here: %v", err)
		}

		for line := range strings.Lines(string(text)) {
			if value, found := strings.CutPrefix(line, "Pss:"); found {
				kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
				if err != nil {
					p.t.Fatal(err)
				}

				taken[revisionSuffix.ReplaceAllString(status.Name, "")] += kib << 10
			}
		}
	}

	return taken
}

// openMany opens conversations and follows each on a connection of its own, until closing is called.
func (p *testPlatform) openMany(count int) (conversations []string, closing func()) {
	p.t.Helper()

	conversations = make([]string, count)
	connections := make([]net.Conn, count)

	var (
		group errgroup.Group
		next  atomic.Int64
	)

	for range 8 {
		group.Go(func() error {
			for i := int(next.Add(1)) - 1; i < count; i = int(next.Add(1)) - 1 {
				conversations[i] = p.newConversation()

				var err error
				if connections[i], err = p.follow(conversations[i]); err != nil {
					return err
				}
			}

			return nil
		})
	}

	err := group.Wait()
	closing = func() {
		for _, connection := range connections {
			if connection != nil {
				_ = connection.Close()
			}
		}
	}

	if err != nil {
		closing()
		p.t.Fatal(err)
	}

	return conversations, closing
}

// follow asks for a conversation's events, and reads the first.
func (p *testPlatform) follow(conversation string) (net.Conn, error) {
	address := strings.TrimPrefix(p.url, "http://")

	connection, err := net.Dial("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("dial: %w", err)
	}

	_, err = fmt.Fprintf(connection, "GET /v1/conversations/%s/events HTTP/1.1\r\nHost: %s\r\nAccept: text/event-stream\r\n\r\n",
		conversation, address)
	if err != nil {
		return connection, fmt.Errorf("ask: %w", err)
	}

	for lines := bufio.NewScanner(connection); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), "event: conversation_created") {
			return connection, nil
		}
	}

	return connection, fmt.Errorf("the events of %s do not come", conversation) //nolint:err113 // told, not compared
}
