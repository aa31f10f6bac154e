package loadtest

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"sync"
)

// maxFrame is the most bytes that a line of a stream may have.
const maxFrame = 8 << 20

// frame is one server-sent event. Its bytes are valid until the next one is read.
type frame struct {
	// durable says that the event has an id.
	durable bool
	name    []byte
	data    []byte
}

// frames reads the gateway's server-sent events: each has its data in one line.
type frames struct {
	lines *bufio.Scanner
	name  []byte
	data  []byte
}

// buffers are what streams read into: as many as there are streams at once.
type buffers struct{ pool sync.Pool }

const bufferSize = 8 << 10

func (b *buffers) get() *[]byte {
	if kept, ok := b.pool.Get().(*[]byte); ok {
		return kept
	}

	made := make([]byte, bufferSize)

	return &made
}

func (b *buffers) put(buffer *[]byte) { b.pool.Put(buffer) }

func newFrames(r io.Reader, buffer []byte) *frames {
	lines := bufio.NewScanner(r)
	lines.Buffer(buffer, maxFrame)

	return &frames{lines: lines}
}

// next returns the next event. The error is io.EOF at the stream's end; an event that was cut off is not returned.
func (f *frames) next() (frame, error) {
	read := frame{}
	f.name, f.data = f.name[:0], f.data[:0]

	for f.lines.Scan() {
		field, value, _ := bytes.Cut(f.lines.Bytes(), []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))

		switch {
		case len(f.lines.Bytes()) == 0 && len(f.data) > 0:
			read.name, read.data = f.name, f.data

			return read, nil
		case string(field) == "id":
			read.durable = len(value) > 0
		case string(field) == "event":
			f.name = append(f.name, value...)
		case string(field) == "data":
			f.data = append(f.data, value...)
		}
	}

	if err := f.lines.Err(); err != nil {
		return frame{}, fmt.Errorf("read events: %w", err)
	}

	return frame{}, io.EOF
}
