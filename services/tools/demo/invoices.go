package demo

import (
	"fmt"
	"slices"
	"time"
)

// Invoice is one charge.
type Invoice struct {
	InvoiceID   string `json:"invoice_id"             jsonschema:"the invoice, such as INV-1007"`
	AmountCents int64  `json:"amount_cents"           jsonschema:"what was charged, in cents"`
	Currency    string `json:"currency"               jsonschema:"the currency's ISO code"`
	Date        string `json:"date"                   jsonschema:"the day of the charge, such as 2026-03-31"`
	Description string `json:"description"            jsonschema:"what was charged for"`
	Status      string `json:"status"                 jsonschema:"paid, partly_refunded or refunded"`
	DuplicateOf string `json:"duplicate_of,omitempty" jsonschema:"the invoice that this one charges a second time"`
}

// The states of an invoice.
const (
	paid           = "paid"
	partlyRefunded = "partly_refunded"
	refunded       = "refunded"
)

const (
	months     = 6
	firstID    = 1001
	planCents  = 4900
	seatsCents = 1500
)

// invoices are the last months' charges up to now, the newest first: each month's plan, some extra seats, and this
// month's plan once more, which is the mistake that customers write about.
func invoices(now time.Time, refunds []Refund) []Invoice {
	var all []Invoice

	add := func(day time.Time, cents int64, description, duplicateOf string) string {
		id := fmt.Sprintf("INV-%d", firstID+len(all))
		all = append(all, Invoice{
			InvoiceID: id, AmountCents: cents, Currency: "EUR", Date: day.Format(time.DateOnly), Description: description,
			Status: statusOf(id, cents, refunds), DuplicateOf: duplicateOf,
		})

		return id
	}

	first := time.Date(now.Year(), now.Month(), 1, 0, 0, 0, 0, time.UTC)

	for back := months - 1; back >= 0; back-- {
		day := first.AddDate(0, -back, 0)
		plan := "Pro plan, " + day.Format("January 2006")
		id := add(day, planCents, plan, "")

		switch {
		case back == 0:
			add(day, planCents, plan+" (charged twice)", id)
		case back%2 == 1:
			add(day, seatsCents, "Three extra seats, "+day.Format("January 2006"), "")
		}
	}

	slices.Reverse(all)

	return all
}

func statusOf(invoice string, cents int64, refunds []Refund) string {
	var back int64

	for _, refund := range refunds {
		if refund.InvoiceID == invoice {
			back += refund.AmountCents
		}
	}

	switch {
	case back == 0:
		return paid
	case back < cents:
		return partlyRefunded
	default:
		return refunded
	}
}

func findInvoice(all []Invoice, id string) (Invoice, error) {
	for _, invoice := range all {
		if invoice.InvoiceID == id {
			return invoice, nil
		}
	}

	return Invoice{}, fmt.Errorf("there is no invoice %q; list_invoices tells which there are", id)
}
