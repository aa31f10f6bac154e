package ambassador

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"sync"
)

// errEventTooLong ends a stream whose event is larger than allowed.
var errEventTooLong = errors.New("an event of the stream is too long")

// readerSize fits most chunks; longer lines are put together.
const readerSize = 8 << 10

var readers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, readerSize) }}

// event is one server-sent event. Its data is valid until the next one is read.
type event struct {
	name string
	data []byte
}

// eventReader reads server-sent events. Lines end with LF or CRLF, as every known provider's do; ids, retry times and
// comments are skipped.
type eventReader struct {
	source  *bufio.Reader
	limit   int
	long    []byte // a line longer than the reader's buffer
	data    []byte // data lines of the event so far, joined by LF
	some    bool   // the event has a data line
	name    string
	started bool
}

func newEventReader(source io.Reader, limit int64) *eventReader {
	buffered, _ := readers.Get().(*bufio.Reader)
	buffered.Reset(source)

	return &eventReader{source: buffered, limit: int(limit)}
}

// close gives the buffer back; the reader must not be used any more.
func (r *eventReader) close() {
	r.source.Reset(nil)
	readers.Put(r.source)
	r.source = nil
}

// idle reports whether reading on may have to wait for the network.
func (r *eventReader) idle() bool { return r.source.Buffered() == 0 }

// next returns the next event that has data. At the end of the stream an event that lacks its blank line is returned
// too, then io.EOF.
func (r *eventReader) next() (event, error) {
	r.data, r.some, r.name = r.data[:0], false, ""

	for {
		line, err := r.line()
		if err != nil {
			if errors.Is(err, io.EOF) && r.field(line) && r.some {
				return event{r.name, r.data}, nil
			}

			return event{}, err
		}

		if len(line) > 0 {
			if !r.field(line) {
				return event{}, errEventTooLong
			}

			continue
		}

		if r.some {
			return event{r.name, r.data}, nil
		}

		r.name = ""
	}
}

// field takes in one line; false means that the event got too long.
func (r *eventReader) field(line []byte) bool {
	name, value, _ := bytes.Cut(line, []byte(":"))
	value = bytes.TrimPrefix(value, []byte(" "))

	switch string(name) {
	case "event":
		r.name = string(value)
	case "data":
		if r.some {
			r.data = append(r.data, '\n')
		}

		r.data, r.some = append(r.data, value...), true
	}

	return len(r.data) <= r.limit
}

// line returns one line without its end. With io.EOF it returns what there was of the last one.
func (r *eventReader) line() ([]byte, error) {
	r.long = r.long[:0]

	for {
		part, err := r.source.ReadSlice('\n')
		if err == nil && len(r.long) == 0 {
			return r.trim(part), nil
		}

		r.long = append(r.long, part...)

		switch {
		case err == nil, errors.Is(err, io.EOF):
			return r.trim(r.long), err
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, err //nolint:wrapcheck // the caller asks what it is
		case len(r.long) > r.limit:
			return nil, errEventTooLong
		}
	}
}

// trim takes off the line's end, and a byte order mark before the first line.
func (r *eventReader) trim(line []byte) []byte {
	if !r.started {
		r.started = true
		line = bytes.TrimPrefix(line, []byte("\xef\xbb\xbf"))
	}

	if end := len(line) - 1; end >= 0 && line[end] == '\n' {
		line = bytes.TrimSuffix(line[:end], []byte("\r"))
	}

	return line
}
