package supervise

import (
	"context"
	"io"
	"os"
	"strconv"
	"strings"
)

const lifelineVariable = "SERIN_LIFELINE_FD"

// WithLifeline returns a context that ends when the supervisor that started this process is gone, however it went.
// Without a supervisor the context is the parent itself.
func WithLifeline(parent context.Context, getenv func(string) string) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(parent)

	descriptor, err := strconv.Atoi(getenv(lifelineVariable))
	if err != nil {
		return ctx, cancel
	}

	pipe := os.NewFile(uintptr(descriptor), "lifeline")

	go func() {
		_, _ = io.Copy(io.Discard, pipe) // any end, with or without an error, is the end of the supervisor
		cancel()
	}()

	return ctx, cancel
}

// lastWords returns the last line of a log, at most 500 bytes of it.
func lastWords(path string) string {
	const enough = 4096

	file, err := os.Open(path) //nolint:gosec // the path is the supervisor's own
	if err != nil {
		return "no log"
	}
	defer file.Close() //nolint:errcheck // only read

	if info, err := file.Stat(); err == nil && info.Size() > enough {
		_, _ = file.Seek(-enough, io.SeekEnd) // else it is read from the start, which is as good
	}

	data, _ := io.ReadAll(io.LimitReader(file, enough)) // what was read is what there is to say
	lines := strings.Split(strings.TrimSpace(string(data)), "\n")
	last := lines[len(lines)-1]

	return last[max(0, len(last)-500):]
}
