package loadtest

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"github.com/serinhq/serin/internal/fault"
)

// Dialogue is what a user says, message by message.
type Dialogue []string

// Dialogues are for the example agents: together they pass every handoff, and use tools. None needs an approval.
func Dialogues() []Dialogue {
	return []Dialogue{
		{
			"List the customer invoices of the last months",
			"Show me the details of invoice INV-1003",
			"Please calculate 49 + 15",
			"Which appointment slots are free?",
			"What is the time now?",
		},
		{
			"Hello, what can you do?",
			"Please explain the charges on my invoices",
			"Show me the details of invoice INV-1007",
			"Which appointment slots are free on Tuesday?",
			"Thank you, goodbye",
		},
		{
			"Which appointment slots are free?",
			"And which of them are in the calendar for tomorrow?",
			"What is the time now?",
			"List the free slots again, please",
			"Thank you, goodbye",
		},
	}
}

// ParseDialogues reads dialogues: a message per line, an empty line between dialogues, # begins a comment.
func ParseDialogues(r io.Reader) ([]Dialogue, error) {
	dialogues, current := []Dialogue{}, Dialogue{}

	flush := func() {
		if len(current) > 0 {
			dialogues, current = append(dialogues, current), Dialogue{}
		}
	}

	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 128<<10)

	for lines.Scan() {
		switch line := strings.TrimSpace(lines.Text()); {
		case line == "":
			flush()
		case !strings.HasPrefix(line, "#"):
			current = append(current, line)
		}
	}

	flush()

	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read dialogues: %w", err)
	}

	if len(dialogues) == 0 {
		return nil, fault.Invalid(fault.Violation{
			Field: "dialogues", Message: "are empty; want a message per line, and an empty line between dialogues",
		})
	}

	return dialogues, nil
}
