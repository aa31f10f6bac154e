package demo

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/jsonschema-go/jsonschema"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// Slot is a time that can be booked.
type Slot struct {
	SlotID string `json:"slot_id" jsonschema:"the slot, such as S-20260331-0900"`
	Date   string `json:"date"    jsonschema:"the day, such as 2026-03-31"`
	Time   string `json:"time"    jsonschema:"when it begins, such as 09:00"`
	With   string `json:"with"    jsonschema:"who is met"`
}

// Booking is a line of bookings.jsonl.
type Booking struct {
	BookingID string `json:"booking_id"        jsonschema:"the booking, such as BOOK-1"`
	SlotID    string `json:"slot_id"           jsonschema:"the slot that was booked"`
	Name      string `json:"name,omitempty"    jsonschema:"for whom"`
	Time      string `json:"time"              jsonschema:"when it was booked, in RFC 3339"`
	CallID    string `json:"call_id,omitempty" jsonschema:"the id of the tool call"`
}

type listSlotsInput struct {
	Date string `json:"date,omitempty" jsonschema:"only this day, such as 2026-03-31; the next working days if left out"`
}

type listSlotsOutput struct {
	Slots []Slot `json:"slots" jsonschema:"the free slots, the earliest first"`
}

type bookInput struct {
	SlotID string `json:"slot_id"        jsonschema:"the slot to book, such as S-20260331-0900"`
	Name   string `json:"name,omitempty" jsonschema:"for whom the appointment is"`
}

const workingDays = 5

// calendar is the set of tools about appointments.
type calendar struct {
	config   Config
	bookings *journal[Booking]
}

func addCalendar(server *mcp.Server, config Config) error {
	c := &calendar{config: config, bookings: newJournal[Booking](config.Data, "bookings.jsonl")}

	listSchema, err := jsonschema.For[listSlotsInput](nil)
	if err != nil {
		return fmt.Errorf("schema of list_slots: %w", err)
	}

	listSchema.Properties["date"].Pattern = `^\d{4}-\d{2}-\d{2}$`

	mcp.AddTool(server, &mcp.Tool{
		Name:        "list_slots",
		Description: "List free appointment slots in the calendar: which times are available to schedule a call or a meeting.",
		InputSchema: listSchema,
		Annotations: &mcp.ToolAnnotations{Title: "List free slots", ReadOnlyHint: true, OpenWorldHint: new(false)},
	}, c.list)
	mcp.AddTool(server, &mcp.Tool{
		Name:        "book",
		Description: "Book an appointment: reserve a free slot of the calendar for the customer.",
		Annotations: &mcp.ToolAnnotations{Title: "Book an appointment", DestructiveHint: new(false)},
	}, c.book)

	return nil
}

func (c *calendar) list(_ context.Context, _ *mcp.CallToolRequest, input listSlotsInput) (*mcp.CallToolResult, listSlotsOutput, error) {
	free, err := c.free()
	if err != nil {
		return nil, listSlotsOutput{}, err
	}

	free = slices.DeleteFunc(free, func(slot Slot) bool { return input.Date != "" && slot.Date != input.Date })

	return nil, listSlotsOutput{Slots: free}, nil
}

func (c *calendar) book(ctx context.Context, request *mcp.CallToolRequest, input bookInput) (*mcp.CallToolResult, Booking, error) {
	free, err := c.free()
	if err != nil {
		return nil, Booking{}, err
	}

	if !slices.ContainsFunc(free, func(slot Slot) bool { return slot.SlotID == input.SlotID }) {
		return nil, Booking{}, fmt.Errorf("slot %q is not free; list_slots tells which are", input.SlotID)
	}

	var made Booking

	err = withDelay(ctx, request, c.config.Delay, func() error {
		made, err = c.record(input, callID(request))

		return err
	})

	return nil, made, err
}

func (c *calendar) record(input bookInput, callID string) (Booking, error) {
	now := c.config.Now()
	made := Booking{
		BookingID: fmt.Sprintf("BOOK-%d", now.UnixMilli()), SlotID: input.SlotID, Name: input.Name,
		Time: now.UTC().Format(time.RFC3339), CallID: callID,
	}

	return made, c.bookings.append(made)
}

// free are the slots of the next working days that nobody booked.
func (c *calendar) free() ([]Slot, error) {
	bookings, err := c.bookings.all()
	if err != nil {
		return nil, err
	}

	return slices.DeleteFunc(slots(c.config.Now()), func(slot Slot) bool {
		return slices.ContainsFunc(bookings, func(booking Booking) bool { return booking.SlotID == slot.SlotID })
	}), nil
}

// slots are three times on each of the next working days, from tomorrow on.
func slots(now time.Time) []Slot {
	var all []Slot

	for day := now.AddDate(0, 0, 1); len(all) < 3*workingDays; day = day.AddDate(0, 0, 1) {
		if day.Weekday() == time.Saturday || day.Weekday() == time.Sunday {
			continue
		}

		for _, hour := range []string{"09:00", "11:00", "14:30"} {
			all = append(all, Slot{
				SlotID: "S-" + day.Format("20060102") + "-" + hour[:2] + hour[3:],
				Date:   day.Format(time.DateOnly), Time: hour, With: "Customer success",
			})
		}
	}

	return all
}
