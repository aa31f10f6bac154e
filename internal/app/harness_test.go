package app_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"

	conversationv1 "github.com/serinhq/serin/gen/serin/conversation/v1"
	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
	"github.com/serinhq/serin/internal/app"
)

// patience bounds everything that these tests wait for.
const patience = 60 * time.Second

// testPlatform is the production platform on free ports, in a directory of its own.
type testPlatform struct {
	t         testing.TB
	platform  *app.Platform
	config    app.PlatformConfig
	url       string
	crashFile string
	stop      func()
	// transport is how whileTalking's users reach it; nil means by its first gateway.
	transport http.RoundTripper
}

func startPlatform(tb testing.TB, configure ...func(*app.PlatformConfig)) *testPlatform {
	tb.Helper()

	dir := tb.TempDir()
	p := &testPlatform{t: tb, crashFile: filepath.Join(dir, "crash")}
	p.config = app.PlatformConfig{
		Data: filepath.Join(dir, "data"), HTTP: "127.0.0.1:0", GRPC: "127.0.0.1:0", Executable: binary,
		LeaseTTL: time.Second, ExtraEnv: []string{"SERIN_CRASH_FILE=" + p.crashFile},
	}

	for _, change := range configure {
		change(&p.config)
	}

	p.start()
	tb.Cleanup(func() { p.stop() })

	return p
}

func (p *testPlatform) start() {
	p.t.Helper()

	env := app.ProcessEnv()
	env.Stdout, env.Stderr = io.Discard, io.Discard
	env.Getenv = func(string) string { return "" } // a developer's API keys are not for tests

	platform, err := app.OpenPlatform(env, p.config)
	if err != nil {
		p.t.Fatal(err)
	}

	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)

	go func() { ended <- platform.Run(ctx) }()

	stopped := false
	p.platform, p.url = platform, "http://"+platform.HTTP()
	p.stop = func() {
		if stopped {
			return
		}

		stopped = true

		cancel()

		if err := <-ended; err != nil {
			p.t.Errorf("the platform ended with: %v", err)
		}

		if err := platform.Close(); err != nil {
			p.t.Errorf("closing the platform: %v", err)
		}

		if p.t.Failed() {
			p.dumpLogs()
		}
	}

	waiting, done := context.WithTimeout(ctx, patience)
	defer done()

	if err := platform.WaitReady(waiting); err != nil {
		p.dumpLogs()
		p.t.Fatalf("not ready: %v", err)
	}
}

func (p *testPlatform) dumpLogs() {
	logs, _ := filepath.Glob(filepath.Join(p.config.Data, "logs", "*.log"))
	for _, path := range logs {
		data, _ := os.ReadFile(path)
		p.t.Logf("%s:\n%s%s", filepath.Base(path), errorsIn(data), data[max(0, len(data)-3000):])
	}
}

// errorsIn are the first lines of a log that tell of errors, which may be long before its end.
func errorsIn(log []byte) string {
	var found []string

	for line := range bytes.Lines(log) {
		if bytes.Contains(line, []byte(`"level":"ERROR"`)) && len(found) < 10 {
			found = append(found, string(line))
		}
	}

	return strings.Join(found, "")
}

// kill ends a workload with SIGKILL. An agent's name stands for its only process.
func (p *testPlatform) kill(name string) {
	p.t.Helper()
	p.signal(name, syscall.SIGKILL)
}

func (p *testPlatform) signal(name string, signal syscall.Signal) {
	p.t.Helper()

	for _, status := range p.platform.Statuses() {
		if isProcess(status.Name, name) && status.PID != 0 {
			if err := syscall.Kill(status.PID, signal); err != nil {
				p.t.Fatalf("%s to %s: %v", signal, name, err)
			}

			return
		}
	}

	p.t.Fatalf("no process of %s runs", name)
}

var revisionSuffix = regexp.MustCompile(`-[0-9a-f]{12}$`)

// replicaSuffix is what a process's name has beyond that of its service.
var replicaSuffix = regexp.MustCompile(`(-[0-9a-f]{12})?(-[2-9])?$`)

// isProcess reports whether a process is meant: by its name, or by its agent's.
func isProcess(process, name string) bool {
	return process == name || revisionSuffix.ReplaceAllString(process, "") == name
}

// crashAt makes a workload die at one of its RPCs: "billing Append before 3".
func (p *testPlatform) crashAt(point string) {
	p.t.Helper()

	// Processes look at it all the time: in one step.
	if err := os.WriteFile(p.crashFile+".new", []byte(point+"\n"), 0o600); err != nil {
		p.t.Fatal(err)
	}

	if err := os.Rename(p.crashFile+".new", p.crashFile); err != nil {
		p.t.Fatal(err)
	}
}

// crashed reports whether the point was reached, and disarms it.
func (p *testPlatform) crashed() bool {
	return os.Remove(p.crashFile) != nil
}

// request makes a JSON request that ends when patience does; cancel it once its answer was read.
func (p *testPlatform) request(method, path string, body any) (*http.Request, context.CancelFunc) {
	p.t.Helper()

	data, err := json.Marshal(body)
	if err != nil {
		p.t.Fatal(err)
	}

	ctx, cancel := context.WithTimeout(context.Background(), patience)

	request, err := http.NewRequestWithContext(ctx, method, p.url+path, bytes.NewReader(data))
	if err != nil {
		cancel()
		p.t.Fatal(err)
	}

	request.Header.Set("Content-Type", "application/json")

	return request, cancel
}

// call makes a REST call and returns the status and the body.
func (p *testPlatform) call(method, path string, body any, headers ...string) (int, []byte) {
	p.t.Helper()

	request, cancel := p.request(method, path, body)
	defer cancel()

	for i := 0; i+1 < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}

	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, []byte(err.Error())
	}
	defer response.Body.Close()

	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, []byte(err.Error())
	}

	return response.StatusCode, answer
}

func (p *testPlatform) newConversation() string {
	p.t.Helper()

	return p.newConversationWith("")
}

// newConversationWith opens a conversation that the agent meets; empty means the entry.
func (p *testPlatform) newConversationWith(agent string) string {
	p.t.Helper()

	status, body := p.call(http.MethodPost, "/v1/conversations", map[string]any{"agent": agent})

	var answer conversationv1.CreateConversationResponse
	if err := protojson.Unmarshal(body, &answer); status != http.StatusOK || err != nil {
		p.t.Fatalf("create conversation: %d %s %v", status, body, err)
	}

	return answer.GetConversation().GetConversationId()
}

// send posts a message and returns the turn, ended or waiting.
func (p *testPlatform) send(conversation, text string) *conversationv1.Turn {
	p.t.Helper()

	status, body := p.call(http.MethodPost, "/v1/conversations/"+conversation+"/messages", map[string]any{"text": text})

	var answer conversationv1.SendMessageResponse
	if err := protojson.Unmarshal(body, &answer); status != http.StatusOK || err != nil {
		p.t.Fatalf("send: %d %s %v", status, body, err)
	}

	return answer.GetTurn()
}

func (p *testPlatform) resolve(conversation, call, decision string) {
	p.t.Helper()

	path := "/v1/conversations/" + conversation + "/approvals/" + call
	if status, body := p.call(http.MethodPost, path, map[string]any{"decision": decision}); status != http.StatusOK {
		p.t.Fatalf("%s %s: %d %s", decision, call, status, body)
	}
}

// events reads the whole log.
func (p *testPlatform) events(conversation string) []*eventv1.Event {
	p.t.Helper()

	status, body := p.call(http.MethodGet, "/v1/conversations/"+conversation+"/events", nil)

	var answer conversationv1.ListEventsResponse
	if err := protojson.Unmarshal(body, &answer); status != http.StatusOK || err != nil {
		p.t.Fatalf("events: %d %s %v", status, body, err)
	}

	return answer.GetEvents()
}

// waitFor polls the log until it has an event that fits.
func (p *testPlatform) waitFor(conversation, what string, fits func(*eventv1.Event) bool) *eventv1.Event {
	p.t.Helper()

	deadline := time.Now().Add(patience)
	for time.Now().Before(deadline) {
		events := p.events(conversation)
		if i := slices.IndexFunc(events, fits); i >= 0 {
			return events[i]
		}

		time.Sleep(20 * time.Millisecond) // between two looks; the deadline above decides
	}

	p.t.Fatalf("no %s within %s; the log:\n%s", what, patience, transcript(p.events(conversation)))

	return nil
}

// stream reads server-sent events until handle says that it has enough, or the stream ends.
func (p *testPlatform) stream(method, path string, body any, lastID int64, handle func(id int64, event *eventv1.Event) bool) {
	p.t.Helper()

	request, cancel := p.request(method, path, body)
	defer cancel()

	request.Header.Set("Accept", "text/event-stream")

	if lastID > 0 {
		request.Header.Set("Last-Event-ID", fmt.Sprint(lastID))
	}

	response, err := http.DefaultClient.Do(request)
	if err != nil {
		p.t.Fatal(err)
	}
	defer response.Body.Close()

	if response.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(response.Body)
		p.t.Fatalf("stream %s: %d %s", path, response.StatusCode, text)
	}

	readFrames(p.t, response.Body, handle)
}

func readFrames(tb testing.TB, body io.Reader, handle func(id int64, event *eventv1.Event) bool) {
	tb.Helper()

	var (
		id   int64
		data string
	)

	scanner := bufio.NewScanner(body)
	scanner.Buffer(nil, 1<<20)

	for scanner.Scan() {
		name, value, _ := strings.Cut(scanner.Text(), ":")
		value = strings.TrimPrefix(value, " ")

		switch {
		case name == "id":
			_, _ = fmt.Sscan(value, &id)
		case name == "data":
			data = value
		case scanner.Text() == "" && data != "":
			event := &eventv1.Event{}
			if err := protojson.Unmarshal([]byte(data), event); err != nil {
				tb.Fatalf("frame %q: %v", data, err)
			}

			if !handle(id, event) {
				return
			}

			id, data = 0, ""
		}
	}
}

// transcript shows a log as a person would want to read it.
func transcript(events []*eventv1.Event) string {
	var text strings.Builder

	for _, event := range events {
		data, _ := protojson.Marshal(event)
		fmt.Fprintf(&text, "%4d %s\n", event.GetSequence(), data)
	}

	return text.String()
}

// refunds returns the call ids of all recorded refunds.
func (p *testPlatform) refunds() []string {
	p.t.Helper()

	data, err := os.ReadFile(filepath.Join(p.config.Data, "demo", "refunds.jsonl"))
	if err != nil && !os.IsNotExist(err) {
		p.t.Fatal(err)
	}

	calls := []string{}

	for line := range bytes.Lines(data) {
		var record struct {
			CallID string `json:"call_id"`
		}

		if err := json.Unmarshal(line, &record); err != nil {
			p.t.Fatalf("refunds.jsonl: %q: %v", line, err)
		}

		calls = append(calls, record.CallID)
	}

	return calls
}

// forgetRefunds makes the demo forget what it refunded.
func (p *testPlatform) forgetRefunds() {
	p.t.Helper()

	if err := os.Remove(filepath.Join(p.config.Data, "demo", "refunds.jsonl")); err != nil && !os.IsNotExist(err) {
		p.t.Fatal(err)
	}
}
