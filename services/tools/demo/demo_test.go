package demo

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// tuesday is the demo's day in tests.
func tuesday() time.Time { return time.Date(2026, 11, 24, 9, 30, 0, 0, time.UTC) }

// serve runs the server over pipes, as a process would, and returns a client's session.
func serve(t *testing.T, config Config, progress func(*mcp.ProgressNotificationParams)) *mcp.ClientSession {
	t.Helper()

	ourIn, theirOut := io.Pipe()
	theirIn, ourOut := io.Pipe()
	config.In, config.Out, config.Now = theirIn, theirOut, tuesday

	ended := make(chan error, 1)

	go func() { ended <- Run(t.Context(), config) }()

	client := mcp.NewClient(&mcp.Implementation{Name: "test"}, &mcp.ClientOptions{
		ProgressNotificationHandler: func(_ context.Context, note *mcp.ProgressNotificationClientRequest) {
			if progress != nil {
				progress(note.Params)
			}
		},
	})

	session, err := client.Connect(t.Context(), &mcp.IOTransport{Reader: ourIn, Writer: ourOut}, nil)
	if err != nil {
		t.Fatal(err)
	}

	t.Cleanup(func() {
		_ = session.Close()

		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})

	return session
}

// call runs a tool and decodes its structured result; it returns the text of an error of the tool.
func call(t *testing.T, session *mcp.ClientSession, tool string, arguments map[string]any, into any) string {
	t.Helper()

	params := &mcp.CallToolParams{Name: tool, Arguments: arguments, Meta: mcp.Meta{CallIDKey: "t1-1-1-0"}}
	params.SetProgressToken("token")

	result, err := session.CallTool(t.Context(), params)
	if err != nil {
		t.Fatal(err)
	}

	text := result.Content[0].(*mcp.TextContent).Text
	if result.IsError {
		return text
	}

	if into != nil {
		if err := json.Unmarshal([]byte(text), into); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	}

	return ""
}

func TestInvoicesHoldOneThatWasChargedTwice(t *testing.T) {
	session := serve(t, Config{Set: Billing, Data: t.TempDir()}, nil)

	var all listInvoicesOutput
	if problem := call(t, session, "list_invoices", nil, &all); problem != "" {
		t.Fatal(problem)
	}

	if len(all.Invoices) != 10 {
		t.Errorf("%d invoices", len(all.Invoices))
	}

	var twice listInvoicesOutput

	call(t, session, "list_invoices", map[string]any{"charged_twice": true}, &twice)

	if len(twice.Invoices) != 1 {
		t.Fatalf("charged twice: %v", twice.Invoices)
	}

	var first Invoice

	duplicate := twice.Invoices[0]
	call(t, session, "get_invoice", map[string]any{"invoice_id": duplicate.DuplicateOf}, &first)

	if first.AmountCents != duplicate.AmountCents || first.Date != duplicate.Date || first.InvoiceID == duplicate.InvoiceID || first.DuplicateOf != "" {
		t.Errorf("%+v is said to be a duplicate of %+v", duplicate, first)
	}

	var seats listInvoicesOutput

	call(t, session, "list_invoices", map[string]any{"filter": "SEATS"}, &seats)

	if len(seats.Invoices) != 3 {
		t.Errorf("seats: %v", seats.Invoices)
	}

	if problem := call(t, session, "get_invoice", map[string]any{"invoice_id": "INV-1"}, nil); !strings.Contains(problem, "INV-1") {
		t.Errorf("an invoice that is none: %q", problem)
	}
}

func TestRefundIsRecordedEachTime(t *testing.T) {
	directory := t.TempDir()
	session := serve(t, Config{Set: Billing, Data: directory}, nil)
	arguments := map[string]any{"invoice_id": "INV-1009", "amount_cents": 1900, "reason": "charged twice"}

	var made Refund
	if problem := call(t, session, "refund", arguments, &made); problem != "" || made.RefundID == "" {
		t.Fatalf("%+v %s", made, problem)
	}

	var invoice Invoice

	call(t, session, "get_invoice", map[string]any{"invoice_id": "INV-1009"}, &invoice)

	if invoice.Status != partlyRefunded {
		t.Errorf("%+v", invoice)
	}

	arguments["amount_cents"] = 3000
	call(t, session, "refund", arguments, nil)
	call(t, session, "get_invoice", map[string]any{"invoice_id": "INV-1009"}, &invoice)

	if invoice.Status != refunded {
		t.Errorf("%+v", invoice)
	}

	for name, bad := range map[string]map[string]any{
		"amount_cents": {"invoice_id": "INV-1009", "amount_cents": 4901, "reason": "x"},
		"minimum":      {"invoice_id": "INV-1009", "amount_cents": 0, "reason": "x"},
		"no invoice":   {"invoice_id": "INV-1", "amount_cents": 1, "reason": "x"},
		"reason":       {"invoice_id": "INV-1009", "amount_cents": 1},
	} {
		if problem := call(t, session, "refund", bad, nil); !strings.Contains(problem, name) {
			t.Errorf("%v: %q, want %q", bad, problem, name)
		}
	}

	data, err := os.ReadFile(filepath.Join(directory, "refunds.jsonl"))
	if err != nil {
		t.Fatal(err)
	}

	if strings.Count(string(data), "\n") != 2 || strings.Count(string(data), `"call_id":"t1-1-1-0"`) != 2 {
		t.Errorf("the journal is %s", data)
	}
}

func TestDelayTellsProgress(t *testing.T) {
	var (
		mu    sync.Mutex
		notes []float64
	)

	directory := t.TempDir()
	session := serve(t, Config{Data: directory, Delay: 100 * time.Millisecond}, func(note *mcp.ProgressNotificationParams) {
		mu.Lock()
		defer mu.Unlock()

		notes = append(notes, note.Progress)
	})

	begun := time.Now()

	if problem := call(t, session, "refund", map[string]any{"invoice_id": "INV-1001", "amount_cents": 1, "reason": "x"}, nil); problem != "" {
		t.Fatal(problem)
	}

	mu.Lock()
	defer mu.Unlock()

	if time.Since(begun) < 100*time.Millisecond || len(notes) < ticks {
		t.Errorf("took %s, progress %v", time.Since(begun), notes)
	}
}

func TestCancelledRefundHasNoEffect(t *testing.T) {
	directory := t.TempDir()
	began := make(chan struct{}, 100)
	session := serve(t, Config{Data: directory, Delay: time.Minute}, func(*mcp.ProgressNotificationParams) { began <- struct{}{} })

	ctx, cancel := context.WithCancel(t.Context())
	params := &mcp.CallToolParams{Name: "refund", Arguments: map[string]any{"invoice_id": "INV-1001", "amount_cents": 1, "reason": "x"}}
	params.SetProgressToken("token")

	ended := make(chan error, 1)

	go func() {
		_, err := session.CallTool(ctx, params)
		ended <- err
	}()

	<-began
	cancel()

	if err := <-ended; err == nil {
		t.Error("the call was not cancelled")
	}

	if _, err := os.Stat(filepath.Join(directory, "refunds.jsonl")); err == nil {
		t.Error("there is a refund")
	}
}

func TestCalendar(t *testing.T) {
	session := serve(t, Config{Set: Calendar, Data: t.TempDir()}, nil)

	var free listSlotsOutput

	call(t, session, "list_slots", nil, &free)

	if len(free.Slots) != 15 || free.Slots[0].SlotID != "S-20261125-0900" {
		t.Fatalf("free: %v", free.Slots)
	}

	var booked Booking
	if problem := call(t, session, "book", map[string]any{"slot_id": "S-20261125-0900", "name": "Ada"}, &booked); problem != "" || booked.Name != "Ada" {
		t.Fatalf("%+v %s", booked, problem)
	}

	if problem := call(t, session, "book", map[string]any{"slot_id": "S-20261125-0900"}, nil); !strings.Contains(problem, "not free") {
		t.Errorf("booked twice: %q", problem)
	}

	call(t, session, "list_slots", map[string]any{"date": "2026-11-25"}, &free)

	if len(free.Slots) != 2 {
		t.Errorf("free on the day: %v", free.Slots)
	}

	if problem := call(t, session, "list_slots", map[string]any{"date": "tomorrow"}, nil); !strings.Contains(problem, "date") {
		t.Errorf("a date that is none: %q", problem)
	}
}

func TestSets(t *testing.T) {
	for set, want := range map[string]string{
		Billing: "get_invoice list_invoices refund", Calendar: "book list_slots", All: "book get_invoice list_invoices list_slots refund",
	} {
		t.Run(set, func(t *testing.T) {
			listed, err := serve(t, Config{Set: set, Data: t.TempDir()}, nil).ListTools(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}

			names := make([]string, 0, len(listed.Tools))
			for _, tool := range listed.Tools {
				names = append(names, tool.Name)

				if tool.Annotations == nil || tool.Description == "" || tool.OutputSchema == nil {
					t.Errorf("%+v", tool)
				}
			}

			if got := strings.Join(names, " "); got != want {
				t.Errorf("%s, want %s", got, want)
			}
		})
	}

	if err := Run(t.Context(), Config{Set: "all of it", Data: t.TempDir()}); err == nil {
		t.Error("a set that is none")
	}

	t.Setenv(DelayVariable, "soon")

	if err := Run(t.Context(), Config{Data: t.TempDir()}); err == nil || !strings.Contains(err.Error(), DelayVariable) {
		t.Errorf("a delay that is none: %v", err)
	}
}

func TestJournalSurvivesATornLine(t *testing.T) {
	directory := t.TempDir()
	if err := os.WriteFile(filepath.Join(directory, "x"), []byte("{\"refund_id\":\"REF-1\"}\n{\"refund_"), 0o600); err != nil {
		t.Fatal(err)
	}

	journal := newJournal[Refund](directory, "x")
	if err := journal.append(Refund{RefundID: "REF-2", Reason: strings.Repeat("long ", 50_000)}); err != nil {
		t.Fatal(err)
	}

	entries, err := journal.all()
	if err != nil || len(entries) != 2 || entries[0].RefundID != "REF-1" || entries[1].RefundID != "REF-2" {
		t.Errorf("%d entries, %v", len(entries), err)
	}
}
