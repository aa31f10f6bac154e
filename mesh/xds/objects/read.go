package objects

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// contents is what a journal says.
type contents struct {
	header  header
	records []record
	// size is that of the good part in bytes, torn that of the unfinished write after it.
	size, torn int64
	// migrated says that the journal was written in an older format.
	migrated bool
}

// read understands a journal. What follows the last newline is a write that was cut off before it was answered; a
// whole line that does not hold is an error, as what it said was answered.
func read(data []byte, steps map[int]migration) (contents, error) {
	var c contents

	for number := 1; len(data) > 0; number++ {
		line, rest, whole := bytes.Cut(data, []byte("\n"))
		if !whole {
			break
		}

		text, err := open(line)
		if err == nil {
			err = c.take(text, steps)
		}

		if err != nil {
			return contents{}, fmt.Errorf("line %d, at byte %d: %w", number, c.size, err)
		}

		c.size += int64(len(line)) + 1
		data = rest
	}

	c.torn = int64(len(data))
	if c.size == 0 && c.torn > 0 {
		return contents{}, fmt.Errorf("line 1: it is no journal of objects: %w", errDamaged)
	}

	return c, nil
}

// take adds a line: the first is the header.
func (c *contents) take(text json.RawMessage, steps map[int]migration) error {
	if c.header.Format == 0 {
		return c.begin(text, steps)
	}

	for f := c.header.Format; f < format; f++ {
		migrated, err := steps[f](text)
		if err != nil {
			return fmt.Errorf("bringing it from format %d to %d: %w", f, f+1, err)
		}

		text = migrated
	}

	var r record
	if err := json.Unmarshal(text, &r); err != nil {
		return fmt.Errorf("it cannot be read: %w", err)
	}

	c.records = append(c.records, r)

	return nil
}

// begin reads the header.
func (c *contents) begin(text json.RawMessage, steps map[int]migration) error {
	if err := json.Unmarshal(text, &c.header); err != nil {
		return fmt.Errorf("the header cannot be read: %w", err)
	}

	if c.header.Format > format {
		return fmt.Errorf("it was written by a newer release, in format %d; this one knows up to %d: run that release",
			c.header.Format, format)
	}

	for f := c.header.Format; f < format; f++ {
		if steps[f] == nil {
			return fmt.Errorf("its format %d is not known", f)
		}
	}

	c.migrated = c.header.Format < format

	return nil
}
