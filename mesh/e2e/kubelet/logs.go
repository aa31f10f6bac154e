package kubelet

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// logFile is a container's log in the format of the container runtime interface: time, stream, F for a full line or P
// for a part, text.
type logFile struct {
	mu      sync.Mutex
	file    *os.File
	streams []*logStream
}

// longestLine is how much of a line is written at once, as container runtimes have it.
const longestLine = 16 << 10

func openLog(path string) (*logFile, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}

	return &logFile{file: file}, nil
}

// stream takes what a container writes to one of its outputs.
func (l *logFile) stream(name string) io.Writer {
	made := &logStream{log: l, name: name}
	l.streams = append(l.streams, made)

	return made
}

// finish writes what has no line's end, and closes the log.
func (l *logFile) finish() {
	for _, stream := range l.streams {
		if stream.rest.Len() > 0 {
			_ = l.write(stream.name, "F", stream.rest.Bytes()) // there is nobody left to tell
		}
	}

	_ = l.Close() // written already
}

// Close closes the file.
func (l *logFile) Close() error { return l.file.Close() }

func (l *logFile) write(stream, tag string, text []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()

	_, err := fmt.Fprintf(l.file, "%s %s %s %s\n", time.Now().Format(time.RFC3339Nano), stream, tag, text)

	return err
}

// logStream splits one output into lines.
type logStream struct {
	log  *logFile
	name string
	rest bytes.Buffer
}

// Write never fails: a container must not end because its log can't be written.
func (s *logStream) Write(data []byte) (int, error) {
	s.rest.Write(data)

	var problems []error

	for {
		at := bytes.IndexByte(s.rest.Bytes(), '\n')

		switch {
		case at >= 0 && at <= longestLine:
			line := s.rest.Next(at + 1)
			problems = append(problems, s.log.write(s.name, "F", line[:at]))
		case s.rest.Len() > longestLine:
			problems = append(problems, s.log.write(s.name, "P", s.rest.Next(longestLine)))
		default:
			if err := errors.Join(problems...); err != nil {
				fmt.Fprintln(os.Stderr, "kubelet: write log:", err)
			}

			return len(data), nil
		}
	}
}
