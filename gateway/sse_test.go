package gateway

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
	handoffv1 "github.com/serinhq/serin/gen/serin/handoff/v1"
)

// durable are the ids of the frames that have one.
func durable(got []frame) []string {
	var ids []string

	for _, f := range got {
		if f.id != "" {
			ids = append(ids, f.id)
		}
	}

	return ids
}

// sequences are from..to as ids.
func sequences(from, to int) []string {
	var ids []string
	for i := from; i <= to; i++ {
		ids = append(ids, strconv.Itoa(i))
	}

	return ids
}

func TestMessageStream(t *testing.T) {
	w := newWorld(t)
	id := w.create()
	stream := w.sse("POST", "/v1/conversations/"+id+"/messages", `{"text":"hello"}`)
	got := stream.all()

	if ids := durable(got); !slices.Equal(ids, sequences(2, 5)) {
		t.Errorf("ids: %v in %v", ids, got)
	}

	if got[0].event != "turn_accepted" || got[len(got)-1].comment != "end" {
		t.Errorf("frames: %v", got)
	}

	var event eventv1.Event
	if err := protojson.Unmarshal([]byte(got[0].data), &event); err != nil || event.GetTurnAccepted().GetText() != "hello" {
		t.Errorf("data: %v %v", err, &event)
	}

	if stream.resp.Header.Get("Serin-Turn-Id") != event.GetTurnId() {
		t.Errorf("header: %v", stream.resp.Header)
	}
}

func TestTransientEventsHaveNoID(t *testing.T) {
	w := newWorld(t)
	shown := make(chan struct{})
	w.agents["triage"].plays(func(turn *contextv1.Turn) (*handoffv1.Finished, error) {
		eventually(t, "a follower", func() bool { return w.store.followerCount() > 0 })
		w.store.publish(turn, &eventv1.TextDelta{MessageId: "m", Text: "ec"})
		<-shown

		return w.agents["triage"].echo(turn)
	})

	id := w.create()
	stream := w.sse("POST", "/v1/conversations/"+id+"/messages", `{"text":"hello"}`)
	got := stream.until("text_delta") // shown at once, before the turn goes on

	if last := got[len(got)-1]; last.id != "" || !strings.Contains(last.data, `"ec"`) {
		t.Errorf("got %v", last)
	}

	close(shown)
	stream.until("turn_completed")
}

func TestMessageStreamEndsWhenAHumanIsAsked(t *testing.T) {
	w := newWorld(t)
	w.agents["triage"].plays(w.agents["triage"].asksApproval)

	id := w.create()
	got := w.sse("POST", "/v1/conversations/"+id+"/messages", `{"text":"refund"}`).all()

	if last := got[len(got)-2]; last.event != "turn_waiting" {
		t.Errorf("got %v", got)
	}
}

// TestResume cuts a stream after each event in turn, and reads on from the last id: every durable event comes once.
func TestResume(t *testing.T) {
	w := newWorld(t)
	id := w.create()
	path := "/v1/conversations/" + id + "/events"

	for range 3 {
		w.send(id, "hello")
	}

	total := len(w.store.log(id))

	var got []frame

	last := ""
	for len(durable(got)) < total {
		header := []string{}
		if last != "" {
			header = []string{"Last-Event-ID", last}
		}

		stream := w.sse("GET", path+"?from=1", "", header...) // a browser repeats the address; the header wins

		next, ok := stream.read()
		if !ok {
			t.Fatal("ended")
		}

		stream.cut()

		last, got = next.id, append(got, next)
	}

	if ids := durable(got); !slices.Equal(ids, sequences(1, total)) {
		t.Errorf("ids: %v", ids)
	}

	eventually(t, "no follower is left", func() bool { return w.store.followerCount() == 0 })
}

// TestResumeInTheMiddleOfATurn cuts a message's stream while the turn runs; the turn goes on, and the same message with
// Last-Event-ID shows the rest.
func TestResumeInTheMiddleOfATurn(t *testing.T) {
	w := newWorld(t)
	release := make(chan struct{})
	w.agents["triage"].plays(func(turn *contextv1.Turn) (*handoffv1.Finished, error) {
		<-release

		return w.agents["triage"].echo(turn)
	})

	id := w.create()
	path := "/v1/conversations/" + id + "/messages"

	stream := w.sse("POST", path, `{"text":"hello"}`, "Idempotency-Key", "k")
	first := stream.until("segment_started")

	stream.cut()
	eventually(t, "the follower is gone", func() bool { return w.store.followerCount() == 0 })
	close(release)

	rest := w.sse("POST", path, `{"text":"hello"}`, "Idempotency-Key", "k", "Last-Event-ID", first[len(first)-1].id).all()

	if ids := durable(append(first, rest...)); !slices.Equal(ids, sequences(2, 5)) {
		t.Errorf("ids: %v", ids)
	}
}

func TestStoreRestartUnderAStream(t *testing.T) {
	w := newWorld(t)
	release := make(chan struct{})
	w.agents["triage"].plays(func(turn *contextv1.Turn) (*handoffv1.Finished, error) {
		<-release

		return w.agents["triage"].echo(turn)
	})

	id := w.create()
	events := w.sse("GET", "/v1/conversations/"+id+"/events", "")
	message := w.sse("POST", "/v1/conversations/"+id+"/messages", `{"text":"hello"}`)

	head, messageHead := events.until("segment_started"), message.until("segment_started")

	w.storeServer.stop()
	w.storeServer.start()
	close(release)

	if ids := durable(append(head, events.until("turn_completed")...)); !slices.Equal(ids, sequences(1, 5)) {
		t.Errorf("events: %v", ids)
	}

	if ids := durable(append(messageHead, message.all()...)); !slices.Equal(ids, sequences(2, 5)) {
		t.Errorf("message: %v", ids)
	}
}

func TestHeartbeat(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Heartbeat = 10 * time.Millisecond })
	stream := w.sse("GET", "/v1/conversations/"+w.create()+"/events?from=2", "")

	for range 3 {
		if got, ok := stream.read(); !ok || got.comment != "heartbeat" {
			t.Fatalf("got %v", got)
		}
	}
}

// TestSlowClient reads nothing: the stream must not hold on to the gateway or to the store.
func TestSlowClient(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.WriteTimeout = 50 * time.Millisecond })
	id := w.create()

	w.store.mu.Lock()
	for range 400 {
		w.store.add(id, fakeEvent("t0", "triage", &eventv1.AgentMessage{MessageId: "m", Text: strings.Repeat("x", 50_000)}))
	}
	w.store.mu.Unlock()

	conn, err := net.Dial("tcp", strings.TrimPrefix(w.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()

	fmt.Fprintf(conn, "GET /v1/conversations/%s/events HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n", id)
	eventually(t, "the stream began", func() bool { return w.store.followerCount() == 1 })
	eventually(t, "the stream was given up", func() bool { return w.store.followerCount() == 0 })

	// Another client is not held up.
	if got := w.sse("GET", "/v1/conversations/"+id+"/events?from=401", "").until("agent_message"); len(got) != 1 {
		t.Errorf("got %d", len(got))
	}
}

func TestDrain(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.DrainGrace = 10 * time.Millisecond })
	w.agents["triage"].plays(func(*contextv1.Turn) (*handoffv1.Finished, error) {
		<-w.service.draining.Done()

		return &handoffv1.Finished{Outcome: handoffv1.Finished_OUTCOME_SUPERSEDED}, nil
	})

	id := w.create()
	stream := w.sse("GET", "/v1/conversations/"+id+"/events", "")
	waiting := make(chan answer, 1)

	go func() { waiting <- w.send(id, "hello") }()

	stream.until("segment_started")
	w.service.Drain()

	if rest := stream.all(); len(rest) != 1 || !strings.Contains(rest[0].comment, "draining") {
		t.Errorf("stream: %v", rest)
	}

	if got := <-waiting; got.status != http.StatusServiceUnavailable || got.reason() != "DRAINING" || got.at("error", "metadata", "turn_id") == nil || got.header.Get("Retry-After") != "1" {
		t.Errorf("waiting call: %d %v %v", got.status, got.body, got.header)
	}

	if got := w.send(id, "more"); got.reason() != "DRAINING" {
		t.Errorf("new message: %v", got.body)
	}

	if got := w.do("GET", "/v1/conversations/"+id, ""); got.status != 200 {
		t.Errorf("reading goes on: %v", got.body)
	}
}

// TestDrainWhileAMessageIsTaken has it taken nevertheless, and its stream end as those do that can be gone on with.
func TestDrainWhileAMessageIsTaken(t *testing.T) {
	w := newWorld(t)
	w.agents["triage"].plays(func(*contextv1.Turn) (*handoffv1.Finished, error) {
		return &handoffv1.Finished{Outcome: handoffv1.Finished_OUTCOME_SUPERSEDED}, nil
	})

	id := w.create()
	w.store.appending = func(ctx context.Context) {
		w.service.Drain()

		select {
		case <-ctx.Done():
			t.Error("it is given up halfway")
		case <-time.After(20 * time.Millisecond):
		}
	}

	got := w.sse("POST", "/v1/conversations/"+id+"/messages", `{"text":"hello"}`).all()
	if len(got) == 0 || !strings.Contains(got[len(got)-1].comment, "draining") {
		t.Errorf("stream: %v", got)
	}

	if log := w.store.log(id); len(log) < 2 || log[1].GetTurnAccepted().GetText() != "hello" {
		t.Errorf("log: %v", log)
	}
}

// TestClientThatLeaves sees that nothing is left of it, and that its turn goes on.
func TestClientThatLeaves(t *testing.T) {
	w := newWorld(t)
	release := make(chan struct{})
	w.agents["triage"].plays(func(turn *contextv1.Turn) (*handoffv1.Finished, error) {
		<-release

		return w.agents["triage"].echo(turn)
	})

	id := w.create()
	ctx, cancel := context.WithCancel(context.Background())
	left := make(chan struct{})

	go func() {
		defer close(left)

		resp, err := w.client.Do(w.request("POST", "/v1/conversations/"+id+"/messages", `{"text":"hello"}`).WithContext(ctx))
		if err == nil {
			_ = resp.Body.Close()
		}
	}()

	eventually(t, "the turn runs", func() bool { return len(w.store.log(id)) == 3 })
	cancel()
	<-left
	eventually(t, "the follower is gone", func() bool { return w.store.followerCount() == 0 })
	close(release)
	eventually(t, "the turn completes", func() bool { return len(w.store.log(id)) == 5 })
}

func TestStreamIsFlushedAtOnce(t *testing.T) {
	w := newWorld(t)
	id := w.create()

	conn, err := net.Dial("tcp", strings.TrimPrefix(w.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()

	fmt.Fprintf(conn, "GET /v1/conversations/%s/events?from=2 HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n", id)

	resp, err := http.ReadResponse(bufio.NewReader(conn), nil) //nolint:bodyclose // closing it would wait for the end; closing the connection does not
	if err != nil {
		t.Fatal(err)
	}

	first := make([]byte, 6)
	if _, err := io.ReadFull(resp.Body, first); err != nil || string(first) != "retry:" {
		t.Errorf("got %q, %v", first, err)
	}
}
