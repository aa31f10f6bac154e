package tools

import (
	"bytes"
	"context"
	"log/slog"
)

// maxLogLine is how many bytes of a server's line are logged.
const maxLogLine = 4096

// diagnostics logs each line that a server writes to standard error. os/exec writes from one goroutine alone.
type diagnostics struct {
	logger *slog.Logger
	rest   []byte
}

// Write never fails: a server must not notice what becomes of its words.
func (d *diagnostics) Write(data []byte) (int, error) {
	d.rest = append(d.rest, data...)

	for {
		line, rest, found := bytes.Cut(d.rest, []byte("\n"))
		if !found && len(d.rest) <= maxLogLine {
			return len(data), nil
		}

		d.log(line)

		d.rest = rest
	}
}

func (d *diagnostics) log(line []byte) {
	if line = bytes.TrimSpace(line); len(line) > 0 {
		d.logger.LogAttrs(context.Background(), slog.LevelInfo, "tool server says",
			slog.String("line", clip(string(line), maxLogLine)))
	}
}
