package app_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
	"github.com/serinhq/serin/services/tools/demo"
)

// effectsVariable makes the test's program a tool server: it names the journal of what the tools did.
const effectsVariable = "SERIN_TEST_EFFECTS"

// effect is a line of the journal.
type effect struct {
	Tool string `json:"tool"`
	Call string `json:"call"`
}

// effects are tools like the demo's, but for two things: there is always something left to refund and a slot to book, so
// that every conversation has its effects, and each of those takes its time, so that processes die before and after it.
type effects struct {
	journal *os.File
}

type (
	nothing      struct{}
	invoicesSeen struct {
		Invoices []demo.Invoice `json:"invoices"`
	}
	invoiceWanted struct {
		InvoiceID string `json:"invoice_id"`
	}
	refundWanted struct {
		InvoiceID   string `json:"invoice_id"`
		AmountCents int64  `json:"amount_cents"`
		Reason      string `json:"reason"`
	}
	slotsSeen struct {
		Slots []demo.Slot `json:"slots"`
	}
	slotWanted struct {
		SlotID string `json:"slot_id"`
	}
	done struct {
		Receipt string `json:"receipt"`
	}
)

// serveEffects serves the tools on standard input and output, and returns the program's exit code.
func serveEffects(path string) int {
	journal, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)

		return 1
	}
	defer journal.Close()

	tools := &effects{journal: journal}
	server := mcp.NewServer(&mcp.Implementation{Name: "effects"}, nil)

	addTool(server, "list_invoices", "List the customer's invoices and charges of the last months; find charges billed twice.", true, tools.invoices)
	addTool(server, "get_invoice", "Get one invoice by its id, such as INV-2.", true, tools.invoice)
	addTool(server, "refund", "Refund a charge: pay money back to the customer for an invoice, such as one that was charged twice.", false,
		func(ctx context.Context, request *mcp.CallToolRequest, _ refundWanted) (done, error) {
			return tools.take(ctx, request)
		})
	addTool(server, "list_slots", "List free appointment slots in the calendar: which times are available.", true, tools.slots)
	addTool(server, "book", "Book an appointment: reserve a free slot of the calendar for the customer.", false,
		func(ctx context.Context, request *mcp.CallToolRequest, _ slotWanted) (done, error) {
			return tools.take(ctx, request)
		})

	err = server.Run(context.Background(), &mcp.StdioTransport{})
	if err != nil && !errors.Is(err, io.EOF) {
		fmt.Fprintln(os.Stderr, err)

		return 1
	}

	return 0
}

func addTool[In, Out any](
	server *mcp.Server, name, description string, reads bool, serve func(context.Context, *mcp.CallToolRequest, In) (Out, error),
) {
	mcp.AddTool(server, &mcp.Tool{
		Name: name, Description: description, Annotations: &mcp.ToolAnnotations{ReadOnlyHint: reads},
	}, func(ctx context.Context, request *mcp.CallToolRequest, input In) (*mcp.CallToolResult, Out, error) {
		output, err := serve(ctx, request, input)

		return nil, output, err
	})
}

func (e *effects) invoices(context.Context, *mcp.CallToolRequest, nothing) (invoicesSeen, error) {
	return invoicesSeen{[]demo.Invoice{
		{InvoiceID: "INV-2", AmountCents: 4900, Currency: "EUR", Date: "2026-11-01", Description: "Pro plan", Status: "paid", DuplicateOf: "INV-1"},
		{InvoiceID: "INV-1", AmountCents: 4900, Currency: "EUR", Date: "2026-11-01", Description: "Pro plan", Status: "paid"},
	}}, nil
}

func (e *effects) invoice(ctx context.Context, request *mcp.CallToolRequest, wanted invoiceWanted) (demo.Invoice, error) {
	all, err := e.invoices(ctx, request, nothing{})

	for _, one := range all.Invoices {
		if one.InvoiceID == wanted.InvoiceID {
			return one, err
		}
	}

	return demo.Invoice{}, fmt.Errorf("there is no invoice %q", wanted.InvoiceID)
}

func (e *effects) slots(context.Context, *mcp.CallToolRequest, nothing) (slotsSeen, error) {
	return slotsSeen{[]demo.Slot{
		{SlotID: "S-20261124-0900", Date: "2026-11-24", Time: "09:00", With: "Customer success"},
		{SlotID: "S-20261125-1100", Date: "2026-11-25", Time: "11:00", With: "Customer success"},
	}}, nil
}

// take has an effect: a line in the journal, in one write. It is not less there for the caller's leaving meanwhile.
func (e *effects) take(_ context.Context, request *mcp.CallToolRequest) (done, error) {
	call, _ := request.Params.Meta[demo.CallIDKey].(string)

	line, err := json.Marshal(effect{Tool: request.Params.Name, Call: call})
	if err != nil {
		return done{}, err
	}

	e.dawdle()

	if _, err := e.journal.Write(append(line, '\n')); err != nil {
		return done{}, err
	}

	e.dawdle()

	return done{Receipt: "R-" + call}, nil
}

// dawdle takes a moment, as a payment system does.
func (e *effects) dawdle() { <-time.After(time.Duration(rand.IntN(120)) * time.Millisecond) }

// effectsFolder is the example agents with these tools instead of the demo's.
func effectsFolder(t *testing.T) (folder, journal string) {
	t.Helper()

	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}

	folder, journal = ownFolder(t), filepath.Join(t.TempDir(), "effects.jsonl")
	text := ""

	for _, name := range []string{"billing", "calendar"} {
		text += fmt.Sprintf("---\napiVersion: serin.dev/v1alpha1\nkind: MCPServer\nmetadata: {name: %s}\nspec:\n"+
			"  command: [%q]\n  env: {%s: %q}\n", name, program, effectsVariable, journal)
	}

	if err := os.WriteFile(filepath.Join(folder, "tools.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}

	return folder, journal
}

// witness answers for a person, and reads the logs afterwards: which calls there were, and what was said of them.
type witness struct {
	journal string

	mu       sync.Mutex
	answers  map[string]eventv1.Decision // about whether a call took effect
	proposed map[string]string           // tool by call
	results  map[string]*eventv1.ToolResult
	reasons  map[string]int // of failed turns
	accepted int
	ends     map[string]int // by turn
	resumed  int
}

func newWitness(journal string) *witness {
	return &witness{
		journal: journal, proposed: map[string]string{}, results: map[string]*eventv1.ToolResult{},
		answers: map[string]eventv1.Decision{}, reasons: map[string]int{}, ends: map[string]int{},
	}
}

// see takes in an event of a log.
func (w *witness) see(event *eventv1.Event) {
	switch kind := event.GetKind().(type) {
	case *eventv1.Event_TurnAccepted:
		w.accepted++
		w.ends[event.GetTurnId()] += 0
	case *eventv1.Event_AgentMessage:
		for _, call := range kind.AgentMessage.GetToolCalls() {
			w.proposed[call.GetCallId()] = call.GetTool()
		}
	case *eventv1.Event_ToolResult:
		w.results[kind.ToolResult.GetCallId()] = kind.ToolResult
	case *eventv1.Event_SegmentRestarted:
		w.resumed++
	case *eventv1.Event_TurnFailed:
		w.reasons[kind.TurnFailed.GetReason()]++
		w.ends[event.GetTurnId()]++
	case *eventv1.Event_TurnCompleted, *eventv1.Event_TurnCancelled:
		w.ends[event.GetTurnId()]++
	}
}

// decide answers as a person does who looks into the books: what is asked for is approved, and whether a call took effect
// is answered by the journal.
func (w *witness) decide(_, call string, kind eventv1.InputRequested_Kind) eventv1.Decision {
	if kind != eventv1.InputRequested_KIND_OUTCOME {
		return eventv1.Decision_DECISION_APPROVE
	}

	made, _ := readEffects(w.journal) // what can't be read is told at the end
	decision := eventv1.Decision_DECISION_DID_NOT_HAPPEN

	if slices.ContainsFunc(made, func(one effect) bool { return one.Call == call }) {
		decision = eventv1.Decision_DECISION_HAPPENED
	}

	w.mu.Lock()
	defer w.mu.Unlock()

	w.answers[call] = decision

	return decision
}

// check compares what the logs say with what happened.
func (w *witness) check(t *testing.T, logs [][]*eventv1.Event) {
	t.Helper()

	for _, log := range logs {
		checkLog(t, log)

		for _, event := range log {
			w.see(event)
		}
	}

	made, err := readEffects(w.journal)
	if err != nil {
		t.Fatal(err)
	}

	times := map[string]int{}
	for _, one := range made {
		if times[one.Call]++; times[one.Call] > 1 {
			t.Errorf("%s of call %s was made %d times", one.Tool, one.Call, times[one.Call])
		}

		if _, known := w.proposed[one.Call]; !known {
			t.Errorf("%s was made of call %q, which no log has", one.Tool, one.Call)
		}
	}

	for call, result := range w.results {
		if tool := w.proposed[call]; !strings.HasSuffix(tool, "_refund") && !strings.HasSuffix(tool, "_book") {
			continue
		}

		switch happened := times[call] > 0; {
		case result.GetOutcome() == eventv1.ToolResult_OUTCOME_OK && !happened:
			t.Errorf("call %s is said to be done, and was not: %v", call, result)
		case result.GetOutcome() != eventv1.ToolResult_OUTCOME_OK && result.GetOutcome() != eventv1.ToolResult_OUTCOME_UNKNOWN && happened:
			t.Errorf("call %s is said not to be done, and was: %v", call, result)
		}
	}

	for turn, ends := range w.ends {
		if ends != 1 {
			t.Errorf("turn %s ended %d times", turn, ends)
		}
	}

	t.Logf("%d turns accepted, failed by reason %v, %d segments resumed, %d effects, %d outcomes that a person was asked about",
		w.accepted, w.reasons, w.resumed, len(made), len(w.answers))
}

func readEffects(path string) ([]effect, error) {
	data, err := os.ReadFile(path)
	if err != nil && !os.IsNotExist(err) {
		return nil, err
	}

	var made []effect

	for line := range bytes.Lines(data) {
		var one effect
		if err := json.Unmarshal(line, &one); err != nil {
			return nil, fmt.Errorf("%s: %q: %w", path, line, err)
		}

		made = append(made, one)
	}

	return made, nil
}
