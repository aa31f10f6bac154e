package demo

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/jsonschema-go/jsonschema"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// Refund is a line of refunds.jsonl.
type Refund struct {
	RefundID    string `json:"refund_id"         jsonschema:"the refund, such as REF-1"`
	InvoiceID   string `json:"invoice_id"        jsonschema:"the invoice that was refunded"`
	AmountCents int64  `json:"amount_cents"      jsonschema:"what was paid back, in cents"`
	Reason      string `json:"reason"            jsonschema:"why"`
	Time        string `json:"time"              jsonschema:"when, in RFC 3339"`
	CallID      string `json:"call_id,omitempty" jsonschema:"the id of the tool call"`
}

type listInvoicesInput struct {
	Filter       string `json:"filter,omitempty"        jsonschema:"only invoices whose description or status contains this, such as Pro plan"`
	ChargedTwice bool   `json:"charged_twice,omitempty" jsonschema:"only invoices that charge another one a second time"`
}

type listInvoicesOutput struct {
	Invoices []Invoice `json:"invoices" jsonschema:"the invoices, the newest first"`
}

type getInvoiceInput struct {
	InvoiceID string `json:"invoice_id" jsonschema:"the invoice, such as INV-1007"`
}

type refundInput struct {
	InvoiceID   string `json:"invoice_id"   jsonschema:"the invoice to refund, such as INV-1007"`
	AmountCents int64  `json:"amount_cents" jsonschema:"how much to pay back, in cents, at most the invoice's amount"`
	Reason      string `json:"reason"       jsonschema:"why, in a sentence"`
}

// billing is the set of tools about money.
type billing struct {
	config  Config
	refunds *journal[Refund]
}

func addBilling(server *mcp.Server, config Config) error {
	b := &billing{config: config, refunds: newJournal[Refund](config.Data, "refunds.jsonl")}

	refundSchema, err := jsonschema.For[refundInput](nil)
	if err != nil {
		return fmt.Errorf("schema of refund: %w", err)
	}

	refundSchema.Properties["amount_cents"].Minimum = new(1.0)

	mcp.AddTool(server, &mcp.Tool{
		Name:        "list_invoices",
		Description: "List the customer's invoices and charges of the last months; find charges billed twice, amounts and refunds.",
		Annotations: &mcp.ToolAnnotations{Title: "List invoices", ReadOnlyHint: true, OpenWorldHint: new(false)},
	}, b.list)
	mcp.AddTool(server, &mcp.Tool{
		Name:        "get_invoice",
		Description: "Get one invoice by its id, such as INV-1007: its amount, date and whether it was refunded.",
		Annotations: &mcp.ToolAnnotations{Title: "Get an invoice", ReadOnlyHint: true, OpenWorldHint: new(false)},
	}, b.get)
	mcp.AddTool(server, &mcp.Tool{
		Name:        "refund",
		Description: "Refund a charge: pay money back to the customer for an invoice, such as one that was charged twice.",
		InputSchema: refundSchema,
		Annotations: &mcp.ToolAnnotations{Title: "Refund a charge", DestructiveHint: new(true)},
	}, b.refund)

	return nil
}

func (b *billing) list(
	_ context.Context, _ *mcp.CallToolRequest, input listInvoicesInput,
) (*mcp.CallToolResult, listInvoicesOutput, error) {
	all, err := b.invoices()
	if err != nil {
		return nil, listInvoicesOutput{}, err
	}

	found := slices.DeleteFunc(all, func(invoice Invoice) bool {
		return input.ChargedTwice && invoice.DuplicateOf == "" || !matches(invoice, input.Filter)
	})

	return nil, listInvoicesOutput{Invoices: found}, nil
}

func matches(invoice Invoice, filter string) bool {
	text := strings.ToLower(invoice.InvoiceID + " " + invoice.Description + " " + invoice.Status)

	return strings.Contains(text, strings.ToLower(strings.TrimSpace(filter)))
}

func (b *billing) get(_ context.Context, _ *mcp.CallToolRequest, input getInvoiceInput) (*mcp.CallToolResult, Invoice, error) {
	all, err := b.invoices()
	if err != nil {
		return nil, Invoice{}, err
	}

	invoice, err := findInvoice(all, input.InvoiceID)

	return nil, invoice, err
}

// refund records every refund that is asked for, a second one of the same invoice too: it is the platform, not this
// server, that keeps a call from running twice, and the journal shows whether it did.
func (b *billing) refund(
	ctx context.Context, request *mcp.CallToolRequest, input refundInput,
) (*mcp.CallToolResult, Refund, error) {
	all, err := b.invoices()
	if err != nil {
		return nil, Refund{}, err
	}

	invoice, err := findInvoice(all, input.InvoiceID)
	if err != nil {
		return nil, Refund{}, err
	}

	if input.AmountCents > invoice.AmountCents {
		return nil, Refund{}, fmt.Errorf("amount_cents: %d is more than the %d of %s",
			input.AmountCents, invoice.AmountCents, invoice.InvoiceID)
	}

	var made Refund

	err = withDelay(ctx, request, b.config.Delay, func() error {
		made, err = b.record(input, callID(request))

		return err
	})

	return nil, made, err
}

func (b *billing) record(input refundInput, callID string) (Refund, error) {
	now := b.config.Now()
	made := Refund{
		RefundID: "REF-" + rand.Text()[:8], InvoiceID: input.InvoiceID, AmountCents: input.AmountCents,
		Reason: input.Reason, Time: now.UTC().Format(time.RFC3339), CallID: callID,
	}

	return made, b.refunds.append(made)
}

func (b *billing) invoices() ([]Invoice, error) {
	refunds, err := b.refunds.all()
	if err != nil {
		return nil, err
	}

	return invoices(b.config.Now(), refunds), nil
}
