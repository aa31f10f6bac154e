package app

import (
	"bufio"
	"bytes"
	"cmp"
	"fmt"
	"io"
	"strings"
)

// maxSSELine is the most bytes that a line of a stream may have: an event is at most a few hundred kilobytes.
const maxSSELine = 8 << 20

// sseEvent is one event of a stream of server-sent events.
type sseEvent struct {
	// ID is the last id that the stream gave, with this event or one before.
	ID string
	// Name is the event's type; message if it has none.
	Name string
	// Data is its lines, joined by line breaks.
	Data string
}

// sseReader reads server-sent events as https://html.spec.whatwg.org/multipage/server-sent-events.html says.
type sseReader struct {
	lines  *bufio.Scanner
	lastID string
}

func newSSEReader(r io.Reader) *sseReader {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, 4096), maxSSELine)
	lines.Split(splitSSELines())

	return &sseReader{lines: lines}
}

// next returns the next event. The error is io.EOF when the stream ends; an event that was cut off is not returned.
func (r *sseReader) next() (sseEvent, error) {
	event, data, some := sseEvent{Name: "message"}, []string{}, false

	for r.lines.Scan() {
		line := r.lines.Text()
		if line == "" {
			if !some {
				event.Name = "message"

				continue
			}

			event.ID, event.Data = r.lastID, strings.Join(data, "\n")

			return event, nil
		}

		name, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")

		switch name {
		case "data":
			data, some = append(data, value), true
		case "event":
			event.Name = cmp.Or(value, "message")
		case "id":
			if !strings.Contains(value, "\x00") {
				r.lastID = value
			}
		}
	}

	if err := r.lines.Err(); err != nil {
		return sseEvent{}, fmt.Errorf("read events: %w", err)
	}

	return sseEvent{}, io.EOF
}

// splitSSELines splits at CR, LF and CRLF without waiting for what follows a CR, and drops a byte order mark.
func splitSSELines() bufio.SplitFunc {
	const mark = "\uFEFF"

	start, afterCR := true, false

	return func(data []byte, atEOF bool) (int, []byte, error) {
		if start && !atEOF && len(data) < len(mark) && strings.HasPrefix(mark, string(data)) {
			return 0, nil, nil
		}

		skip := 0

		switch {
		case start && bytes.HasPrefix(data, []byte(mark)):
			skip = len(mark)
		case afterCR && len(data) > 0 && data[0] == '\n':
			skip = 1
		}

		if len(data) > 0 {
			start, afterCR = false, false
		}

		end := bytes.IndexAny(data[skip:], "\r\n")
		if end < 0 {
			return skip, nil, nil // a line that the stream's end cuts off is dropped
		}

		end += skip
		afterCR = data[end] == '\r'

		return end + 1, data[skip:end:end], nil
	}
}
