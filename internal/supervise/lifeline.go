package supervise

import (
	"context"
	"io"
	"os"
	"strconv"
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
