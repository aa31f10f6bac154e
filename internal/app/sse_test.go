package app

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

func readSSE(r io.Reader) ([]sseEvent, error) {
	reader, events := newSSEReader(r), []sseEvent{}

	for {
		event, err := reader.next()
		if err != nil {
			return events, err
		}

		events = append(events, event)
	}
}

func TestSSE(t *testing.T) {
	for name, test := range map[string]struct {
		text string
		want []sseEvent
	}{
		"a durable and a transient event": {
			"id: 7\nevent: turn_accepted\ndata: {}\n\n: ping\n\nevent: text_delta\ndata: {\"a\":1}\n\n",
			[]sseEvent{{"7", "turn_accepted", "{}"}, {"7", "text_delta", `{"a":1}`}},
		},
		"every kind of line end": {
			"data: a\r\rdata: b\r\n\r\ndata: c\n\n", []sseEvent{{"", "message", "a"}, {"", "message", "b"}, {"", "message", "c"}},
		},
		"many lines of data, with and without a space": {
			"data: a\ndata:b\ndata\ndata:  c\n\n", []sseEvent{{"", "message", "a\nb\n\n c"}},
		},
		"an id without data counts, an event without data does not": {
			"id: 3\nevent: x\n\ndata: a\n\n", []sseEvent{{"3", "message", "a"}},
		},
		"what is unknown, a retry and an id with a zero byte": {
			"retry: 10\nfoo: bar\nid: 1\nid: 2\x00\ndata: a\n\n", []sseEvent{{"1", "message", "a"}},
		},
		"a byte order mark":  {"\uFEFFdata: a\n\n", []sseEvent{{"", "message", "a"}}},
		"cut in the middle":  {"data: a\n\ndata: b\n", []sseEvent{{"", "message", "a"}}},
		"cut within a line":  {"data: a\n\ndata: b", []sseEvent{{"", "message", "a"}}},
		"an empty type":      {"event:\ndata: a\n\n", []sseEvent{{"", "message", "a"}}},
		"nothing":            {"", []sseEvent{}},
		"only half a mark":   {"\xef\xbb", []sseEvent{}},
		"no field, no space": {":\n:x\n\n", []sseEvent{}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, reader := range []io.Reader{strings.NewReader(test.text), iotest.OneByteReader(strings.NewReader(test.text))} {
				events, err := readSSE(reader)
				if !errors.Is(err, io.EOF) {
					t.Errorf("error %v", err)
				}

				if diff := cmp.Diff(test.want, events); diff != "" {
					t.Error(diff)
				}
			}
		})
	}
}

// TestSSEDoesNotWaitAfterCR: an event is complete with its last CR, whether or not an LF follows.
func TestSSEDoesNotWaitAfterCR(t *testing.T) {
	reader, writer := io.Pipe()
	defer reader.Close()

	go func() { _, _ = writer.Write([]byte("data: a\r\r")) }()

	event, err := newSSEReader(reader).next()
	if err != nil || event.Data != "a" {
		t.Errorf("%v %v", event, err)
	}
}

func TestSSELineTooLong(t *testing.T) {
	if _, err := readSSE(strings.NewReader("data: " + strings.Repeat("x", maxSSELine))); errors.Is(err, io.EOF) || err == nil {
		t.Errorf("error %v", err)
	}
}

// FuzzSSE: how a stream is cut into reads makes no difference, and an event comes out as it was put in.
func FuzzSSE(f *testing.F) {
	f.Add("id: 1\nevent: x\ndata: a\n\n: ping\r\rdata: b\r\n\r\n")
	f.Add("\uFEFFdata: \x00\n\n")
	f.Fuzz(func(t *testing.T, text string) {
		whole, _ := readSSE(strings.NewReader(text))
		bytes, _ := readSSE(iotest.OneByteReader(strings.NewReader(text)))

		if diff := cmp.Diff(whole, bytes); diff != "" {
			t.Errorf("cut into bytes (-whole +bytes):\n%s", diff)
		}

		for _, event := range whole {
			again, _ := readSSE(strings.NewReader(
				"id: " + event.ID + "\nevent: " + event.Name + "\ndata: " + strings.ReplaceAll(event.Data, "\n", "\ndata: ") + "\n\n"))
			if diff := cmp.Diff([]sseEvent{event}, again); diff != "" {
				t.Errorf("written and read again:\n%s", diff)
			}
		}
	})
}
