package loadtest

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
)

func readFrames(t testing.TB, text string) []string {
	t.Helper()

	stream, found := newFrames(strings.NewReader(text), make([]byte, 64)), []string{}

	for {
		frame, err := stream.next()
		if err != nil {
			if !errors.Is(err, io.EOF) {
				t.Error(err)
			}

			return found
		}

		word := string(frame.name) + "=" + string(frame.data)
		if frame.durable {
			word = "#" + word
		}

		found = append(found, word)
	}
}

func TestFrames(t *testing.T) {
	long := strings.Repeat("x", 100_000)
	got := readFrames(t, "retry: 1000\n\nid: 1\nevent: a\ndata: {\"x\":1}\n\nevent: b\ndata: y\n\n: heartbeat\n\nid: 2\nevent: c\ndata: "+long+
		"\n\n: end\n\nid: 3\nevent: cut\ndata: z\n")

	if want := `#a={"x":1} b=y #c=` + long; strings.Join(got, " ") != want {
		t.Error(got)
	}
}

func FuzzFrames(f *testing.F) {
	f.Add([]byte("id: 1\nevent: a\ndata: b\n\n"))
	f.Add([]byte(": end\n\ndata\n\n\n:\r\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 1<<16 {
			return
		}

		for _, frame := range readFrames(t, string(data)) {
			if strings.Contains(frame, "\n") || len(frame) > len(data)+2 {
				t.Errorf("%q", frame)
			}
		}

		if read := readFrames(t, string(data)+"\n\nid: 7\nevent: last\ndata: z\n\n"); len(read) == 0 || !strings.HasSuffix(read[len(read)-1], "=z") {
			if !bytes.ContainsAny(data, "\x00") {
				t.Errorf("what came before swallowed an event: %q", read)
			}
		}
	})
}
