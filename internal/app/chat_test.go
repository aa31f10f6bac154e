package app

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/encoding/protojson"

	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
)

// terminal is where a test runs a command.
type terminal struct {
	t       *testing.T
	env     *Env
	out     *watched
	err     *watched
	signals chan os.Signal
}

// watched is a writer that tests wait for.
type watched struct {
	mu   sync.Mutex
	text strings.Builder
}

func (w *watched) Write(data []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()

	return w.text.Write(data)
}

func (w *watched) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()

	return w.text.String()
}

func (w *watched) wait(t *testing.T, text string) {
	t.Helper()

	for end := time.Now().Add(20 * time.Second); !strings.Contains(w.String(), text); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%q never came; there is\n%s", text, w)
		}
	}
}

func newTerminal(t *testing.T, input io.Reader, person bool) *terminal {
	t.Helper()

	// Whatever a command starts ends with it.
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, before) })

	term := &terminal{t: t, out: &watched{}, err: &watched{}, signals: make(chan os.Signal, 2)}
	term.env = &Env{
		Stdin: input, Stdout: term.out, Stderr: term.err, IsTerminal: person,
		Getenv:  func(name string) string { return map[string]string{"NO_COLOR": "1"}[name] },
		Signals: func() (<-chan os.Signal, func()) { return term.signals, func() {} },
	}

	return term
}

func (term *terminal) run(args ...string) int { return Execute(context.Background(), term.env, args) }

// run runs a command without a person, and returns its exit code and what it wrote.
func run(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()

	term := newTerminal(t, strings.NewReader(""), false)
	code = term.run(args...)

	return code, term.out.String(), term.err.String()
}

func call(id, tool, arguments string) *eventv1.ToolCall {
	return &eventv1.ToolCall{CallId: id, Tool: tool, Arguments: arguments}
}

func calling(id, text string, calls ...*eventv1.ToolCall) *eventv1.Event {
	event := whole(id, text)
	event.GetAgentMessage().ToolCalls = calls
	event.GetAgentMessage().Simulated = true

	return event
}

func result(id, tool string, outcome eventv1.ToolResult_Outcome, output string) *eventv1.Event {
	return inSegment(1, 1, &eventv1.Event{Kind: &eventv1.Event_ToolResult{
		ToolResult: &eventv1.ToolResult{CallId: id, Tool: tool, Outcome: outcome, Output: output},
	}})
}

func completed(text string) *eventv1.Event {
	return inSegment(1, 1, &eventv1.Event{Kind: &eventv1.Event_TurnCompleted{TurnCompleted: &eventv1.TurnCompleted{Text: text}}})
}

func handedOff() *eventv1.Event {
	event := inSegment(1, 1, &eventv1.Event{Kind: &eventv1.Event_Handoff{
		Handoff: &eventv1.Handoff{FromAgent: "triage", ToAgent: "billing", Reason: "about an\ninvoice"},
	}})
	event.Agent = "triage"

	return event
}

// aWholeTurn is a turn with everything in it.
func aWholeTurn() []*eventv1.Event {
	return []*eventv1.Event{
		calling("m0", "", call("k0", "handoff_to_billing", "{}")),
		result("k0", "handoff_to_billing", eventv1.ToolResult_OUTCOME_OK, "Control passed to billing."),
		handedOff(),
		delta("m1", 0, "Let me "), delta("m1", 7, "look."), part("m1", 0, "Let me look."),
		calling("m1", "Let me look.", call("k1", "billing_list", `{"customer": "ann"}`)),
		inSegment(1, 1, &eventv1.Event{Kind: &eventv1.Event_ToolProgress{
			ToolProgress: &eventv1.ToolProgress{CallId: "k1", Message: "reading", Progress: 1, Total: 2},
		}}),
		result("k1", "billing_list", eventv1.ToolResult_OUTCOME_OK, "two\ninvoices \x1b[31m"),
		delta("m2", 0, "It was"), delta("m2", 6, " charged twice."),
		calling("m2", "It was charged twice."),
		completed("It was charged twice."),
	}
}

const aWholeTurnText = `  -> billing about an invoice
billing: Let me look.
  * billing_list {"customer": "ann"}
    reading (1 of 2)
    billing_list ok two invoices [31m
billing: It was charged twice.
  (simulated: no model was called)
`

func TestChat(t *testing.T) {
	gateway := newFakeGateway(t)
	gateway.onMessage = aWholeTurn()

	code, stdout, stderr := run(t, "chat", "--url", gateway.URL, "twice", "charged")
	if code != 0 || stderr != "conversation c1\n" {
		t.Errorf("exit %d, %s", code, stderr)
	}

	if diff := cmp.Diff(aWholeTurnText, stdout); diff != "" {
		t.Error(diff)
	}

	if text := gateway.log[1].GetTurnAccepted().GetText(); text != "twice charged" {
		t.Errorf("the message is %q", text)
	}
}

func TestChatTellsOfGuardrails(t *testing.T) {
	gateway := newFakeGateway(t)

	for _, applied := range []*eventv1.GuardrailApplied{
		{Rule: "no-advice", Action: eventv1.GuardrailApplied_ACTION_CHECKED, Message: "allowed"},
		{Rule: "no-advice", Action: eventv1.GuardrailApplied_ACTION_UNDECIDED, Message: "too late"},
		{Rule: "redaction", Action: eventv1.GuardrailApplied_ACTION_REDACTED, Message: "1 email"},
		{Rule: "output-schema", Action: eventv1.GuardrailApplied_ACTION_REPAIR, Message: "no JSON"},
	} {
		gateway.onMessage = append(gateway.onMessage, inSegment(1, 1, &eventv1.Event{Kind: &eventv1.Event_GuardrailApplied{GuardrailApplied: applied}}))
	}

	gateway.onMessage = append(gateway.onMessage, completed("Hi"))

	_, stdout, _ := run(t, "chat", "--url", gateway.URL, "Hello")
	if diff := cmp.Diff("  (guardrail no-advice could not decide: too late)\n  (guardrail redaction: 1 email)\n"+
		"  (guardrail output-schema has the answer written again: no JSON)\nbilling: Hi\n", stdout); diff != "" {
		t.Error(diff)
	}
}

func TestChatTellsOfDocuments(t *testing.T) {
	gateway := newFakeGateway(t)

	for _, told := range []*eventv1.DocumentsRetrieved{
		{Passages: []*eventv1.RetrievedPassage{{Document: "a.md"}, {Document: "b.md"}, {Document: "a.md"}}},
		{Problem: "the retriever did not answer"},
		{},
	} {
		gateway.onMessage = append(gateway.onMessage, inSegment(1, 1, &eventv1.Event{Kind: &eventv1.Event_DocumentsRetrieved{DocumentsRetrieved: told}}))
	}

	gateway.onMessage = append(gateway.onMessage, completed("Hi"))

	_, stdout, _ := run(t, "chat", "--url", gateway.URL, "Hello")
	if diff := cmp.Diff("  (looked up a.md, b.md)\n  (documents: the retriever did not answer)\nbilling: Hi\n", stdout); diff != "" {
		t.Error(diff)
	}
}

func TestChatTellsOfMemories(t *testing.T) {
	gateway := newFakeGateway(t)

	for _, told := range []*eventv1.MemoriesRecalled{
		{Memories: []*eventv1.RecalledMemory{{MemoryId: "m1"}, {MemoryId: "m2"}}}, {Problem: "memory did not answer"}, {},
	} {
		gateway.onMessage = append(gateway.onMessage, inSegment(1, 1, &eventv1.Event{Kind: &eventv1.Event_MemoriesRecalled{MemoriesRecalled: told}}))
	}

	gateway.onMessage = append(gateway.onMessage, completed("Hi"))

	_, stdout, _ := run(t, "chat", "--url", gateway.URL, "Hello")
	if diff := cmp.Diff("  (recalled 2 from memory)\n  (memory: memory did not answer)\nbilling: Hi\n", stdout); diff != "" {
		t.Error(diff)
	}
}

// TestChatGoesOnAfterCuts cuts the stream after every event in turn: each durable event is printed exactly once, and the
// text is whole.
func TestChatGoesOnAfterCuts(t *testing.T) {
	for cut := 1; cut <= len(aWholeTurn()); cut++ {
		gateway := newFakeGateway(t)
		gateway.onMessage, gateway.cuts = aWholeTurn(), []int{cut, 1, 2}

		code, stdout, stderr := run(t, "chat", "--url", gateway.URL, "-o", "json", "hello")
		if code != 0 {
			t.Fatalf("cut %d: exit %d, %s", cut, code, stderr)
		}

		next := int64(2) // 1 is the conversation's beginning

		for line := range strings.Lines(stdout) {
			event := &eventv1.Event{}
			if err := protojson.Unmarshal([]byte(line), event); err != nil {
				t.Fatal(err)
			}

			if event.GetSequence() != 0 && event.GetSequence() != next {
				t.Fatalf("cut %d: sequence %d, want %d", cut, event.GetSequence(), next)
			}

			if event.GetSequence() != 0 {
				next++
			}
		}

		if next != gateway.sequence+1 {
			t.Errorf("cut %d: events up to %d, want %d", cut, next-1, gateway.sequence)
		}
	}
}

// TestChatSendsOnce: a message that may have arrived is sent again under the same key, and never under another.
func TestChatSendsOnce(t *testing.T) {
	gateway := newFakeGateway(t)
	gateway.onMessage, gateway.refuse = aWholeTurn(), []int{503, 502}

	code, stdout, stderr := run(t, "chat", "--url", gateway.URL, "hello")
	if code != 0 || stdout != aWholeTurnText {
		t.Errorf("exit %d\n%s\n%s", code, stdout, stderr)
	}

	if len(gateway.keys) != 1 {
		t.Errorf("%d keys", len(gateway.keys))
	}
}

// aQuestion is a turn that waits for a human.
func aQuestion() []*eventv1.Event {
	return []*eventv1.Event{
		calling("m1", "", call("k1", "billing_refund", `{"invoice":"7"}`)),
		inSegment(1, 1, &eventv1.Event{Kind: &eventv1.Event_InputRequested{InputRequested: &eventv1.InputRequested{
			CallId: "k1", Kind: eventv1.InputRequested_KIND_APPROVAL, Tool: "billing_refund", Arguments: `{"invoice":"7"}`,
			Question: "May billing refund invoice 7?",
		}}}),
		inSegment(1, 1, &eventv1.Event{Kind: &eventv1.Event_TurnWaiting{TurnWaiting: &eventv1.TurnWaiting{CallIds: []string{"k1"}}}}),
	}
}

func anEnd() []*eventv1.Event {
	return []*eventv1.Event{whole("m2", "Done."), completed("Done.")}
}

func TestChatApproval(t *testing.T) {
	gateway := newFakeGateway(t)
	gateway.onMessage, gateway.onAnswer = aQuestion(), anEnd()

	code, stdout, stderr := run(t, "chat", "--url", gateway.URL, "refund it")
	if code != 0 {
		t.Fatalf("exit %d, %s", code, stderr)
	}

	if want := `  * billing_refund {"invoice":"7"}
  ? May billing refund invoice 7?  [billing_refund {"invoice":"7"}]
`; stdout != want {
		t.Errorf("got\n%s", stdout)
	}

	for _, want := range []string{
		" chat --url " + gateway.URL + " --conversation c1 --approve k1\n", "--reject k1 --comment WHY\n",
		"curl -X POST " + gateway.URL + "/v1/conversations/c1/approvals/k1 ", `-d '{"decision":"DECISION_APPROVE"}'`,
	} {
		if !strings.Contains(stderr, want) {
			t.Errorf("%q is missing in\n%s", want, stderr)
		}
	}

	code, stdout, stderr = run(t, "chat", "--url", gateway.URL, "--conversation", "c1", "--reject", "k1", "--comment", "too much")
	if want := "  = reject by ann: too much\nbilling: Done.\n"; code != 0 || stdout != want {
		t.Errorf("exit %d, %s\n%s", code, stderr, stdout)
	}

	if !strings.Contains(gateway.seen(), `decision DECISION_REJECT "too much"`) {
		t.Error(gateway.seen())
	}
}

func TestChatAsksAtTheTerminal(t *testing.T) {
	gateway := newFakeGateway(t)
	gateway.onMessage, gateway.onAnswer = aQuestion(), anEnd()
	term := newTerminal(t, strings.NewReader("maybe\n\nyes it is right\n"), true)

	if code := term.run("chat", "--url", gateway.URL, "refund it"); code != 0 {
		t.Fatalf("exit %d, %s", code, term.err)
	}

	const prompt = "  billing_refund: y to approve, n to reject (a reason may follow): "
	if !strings.HasSuffix(term.out.String(), prompt+prompt+prompt+"  = approve by ann: it is right\nbilling: Done.\n") {
		t.Errorf("got\n%s", term.out)
	}
}

// TestDialogue goes on with a question that was open, then talks, and leaves.
func TestDialogue(t *testing.T) {
	gateway := newFakeGateway(t)
	gateway.happen(aQuestion()...)
	gateway.onAnswer, gateway.onMessage = anEnd(), []*eventv1.Event{
		inSegment(1, 1, &eventv1.Event{Kind: &eventv1.Event_TurnFailed{
			TurnFailed: &eventv1.TurnFailed{Reason: "BUDGET_EXHAUSTED", Message: "no tokens left"},
		}}),
	}
	term := newTerminal(t, strings.NewReader("n\nhello\n\n/quit\n"), true)

	if code := term.run("chat", "--url", gateway.URL, "--conversation", "c1"); code != 0 {
		t.Fatalf("exit %d, %s", code, term.err)
	}

	want := `  ? May billing refund invoice 7?  [billing_refund {"invoice":"7"}]
  billing_refund: y to approve, n to reject (a reason may follow):   = reject by ann
billing: Done.
you: failed: no tokens left (BUDGET_EXHAUSTED)
` + strings.Repeat("you: ", 2)
	if diff := cmp.Diff(want, term.out.String()); diff != "" {
		t.Error(diff)
	}
}

func TestDialogueEndsWithItsInput(t *testing.T) {
	gateway := newFakeGateway(t)
	term := newTerminal(t, strings.NewReader(""), true)

	if code := term.run("chat", "--url", gateway.URL); code != 0 || !strings.HasSuffix(term.out.String(), "you: \n") {
		t.Errorf("exit %d, %q, %s", code, term.out, term.err)
	}
}

func TestInterruptCancels(t *testing.T) {
	gateway := newFakeGateway(t)
	gateway.onMessage = []*eventv1.Event{delta("m", 0, "I am thinking")}
	gateway.onCancel = []*eventv1.Event{
		inSegment(0, 0, &eventv1.Event{Kind: &eventv1.Event_CancelRequested{CancelRequested: &eventv1.CancelRequested{By: "ann"}}}),
		inSegment(1, 1, &eventv1.Event{Kind: &eventv1.Event_TurnCancelled{TurnCancelled: &eventv1.TurnCancelled{By: "ann"}}}),
	}
	term := newTerminal(t, strings.NewReader(""), false)
	ended := make(chan int)

	go func() { ended <- term.run("chat", "--url", gateway.URL, "hello") }()

	term.out.wait(t, "thinking")
	term.signals <- os.Interrupt

	if code := <-ended; code != 1 {
		t.Errorf("exit %d", code)
	}

	if want := "billing: I am thinking\n  (asked to cancel)\ncancelled\n"; term.out.String() != want {
		t.Errorf("got\n%s", term.out)
	}
}

// TestInterruptTwiceLeaves: nothing ends the turn, so only going away does.
func TestInterruptTwiceLeaves(t *testing.T) {
	for name, signals := range map[string][]os.Signal{
		"twice": {os.Interrupt, os.Interrupt}, "terminated": {syscall.SIGTERM},
	} {
		t.Run(name, func(t *testing.T) {
			gateway := newFakeGateway(t)
			gateway.onMessage = []*eventv1.Event{delta("m", 0, "I am thinking")}
			term := newTerminal(t, strings.NewReader(""), false)
			ended := make(chan int)

			go func() { ended <- term.run("chat", "--url", gateway.URL, "hello") }()

			term.out.wait(t, "thinking")

			for _, signal := range signals {
				term.signals <- signal
			}

			if code := <-ended; code != 1 || !strings.Contains(term.err.String(), "serin: left; the turn goes on\n") {
				t.Errorf("exit %d, %s", code, term.err)
			}
		})
	}
}

// TestContextLeaves: whoever runs the command in process can end it.
func TestContextLeaves(t *testing.T) {
	gateway := newFakeGateway(t)
	gateway.onMessage = []*eventv1.Event{delta("m", 0, "I am thinking")}
	term := newTerminal(t, strings.NewReader(""), false)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan int)

	go func() { ended <- Execute(ctx, term.env, []string{"chat", "--url", gateway.URL, "hello"}) }()

	term.out.wait(t, "thinking")
	cancel()

	if code := <-ended; code != 1 {
		t.Errorf("exit %d", code)
	}
}

func TestInterruptAtAPromptLeaves(t *testing.T) {
	gateway := newFakeGateway(t)
	input, writer := io.Pipe()
	defer writer.Close()

	term := newTerminal(t, input, true)
	ended := make(chan int)

	go func() { ended <- term.run("chat", "--url", gateway.URL) }()

	term.out.wait(t, "you: ")
	term.signals <- os.Interrupt

	if code := <-ended; code != 0 {
		t.Errorf("exit %d, %s", code, term.err)
	}
}

func TestChatErrors(t *testing.T) {
	gateway := newFakeGateway(t)
	gateway.refuse = []int{409}

	if code, _, stderr := run(t, "chat", "--url", gateway.URL, "hello"); code != 1 || !strings.Contains(stderr, "the gateway answered 409 Conflict") {
		t.Errorf("exit %d, %s", code, stderr)
	}

	if code, _, stderr := run(t, "chat", "--url", gateway.URL, "--conversation", "c2", "hello"); code != 2 ||
		stderr != "serin: there is no conversation at /v1/conversations/c2\n" {
		t.Errorf("exit %d, %s", code, stderr)
	}
}

// TestRunningIsFound: without an address, it is the serin up of the data directory that is talked to, with its token.
func TestRunningIsFound(t *testing.T) {
	gateway := newFakeGateway(t)
	data := t.TempDir()
	tokens := filepath.Join(data, "tokens.yaml")

	for path, text := range map[string]string{
		filepath.Join(data, "run", "up.json"): `{"http":"` + gateway.URL + `","token_file":"` + tokens + `","new":1}`,
		tokens:                                "- {tokenSHA256: x, user: bob}\n- {token: secret-of-ann, user: ann}\n",
		filepath.Join(data, "mine"):           "secret-of-mine\n",
		filepath.Join(data, "none"):           "- {user: x}\n",
	} {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}

		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}

	for _, test := range []struct {
		args  []string
		code  int
		token string
	}{
		{[]string{"--data", data}, 0, "Bearer secret-of-ann"},
		{[]string{"--data", data, "--token-file", filepath.Join(data, "mine")}, 0, "Bearer secret-of-mine"},
		{[]string{"--url", gateway.URL, "--data", data}, 0, "after="},
		{[]string{"--url", gateway.URL, "--token-file", filepath.Join(data, "none")}, 2, ""},
	} {
		gateway.mu.Lock()
		gateway.requests = nil
		gateway.mu.Unlock()

		code, _, stderr := run(t, append([]string{"conversations", "list"}, test.args...)...)
		if code != test.code {
			t.Errorf("%v: exit %d, %s", test.args, code, stderr)
		}

		if !strings.HasSuffix(gateway.seen(), test.token) {
			t.Errorf("%v: %s", test.args, gateway.seen())
		}
	}
}
