package demo

import (
	"context"
	"fmt"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// ticks is how often progress is told during a delay.
const ticks = 8

// withDelay takes effect in the middle of a delay, so that a kill can come before it and after it.
func withDelay(ctx context.Context, request *mcp.CallToolRequest, delay time.Duration, effect func() error) error {
	if err := wait(ctx, request, delay/2, 0); err != nil {
		return err
	}

	if err := effect(); err != nil {
		return err
	}

	return wait(ctx, request, delay/2, ticks)
}

func wait(ctx context.Context, request *mcp.CallToolRequest, delay time.Duration, done int) error {
	if delay <= 0 {
		return nil
	}

	ticker := time.NewTicker(max(delay/ticks, 1))
	defer ticker.Stop()

	for i := range ticks {
		tell(ctx, request, done+i)

		select {
		case <-ticker.C:
		case <-ctx.Done():
			return fmt.Errorf("cancelled: %w", context.Cause(ctx))
		}
	}

	return nil
}

// tell reports progress to a caller who asked for it.
func tell(ctx context.Context, request *mcp.CallToolRequest, done int) {
	token := request.Params.GetProgressToken()
	if token == nil {
		return
	}

	_ = request.Session.NotifyProgress(ctx, &mcp.ProgressNotificationParams{ // nobody depends on progress
		ProgressToken: token, Message: "Talking to the payment system and the diary", Progress: float64(done), Total: 2 * ticks,
	})
}

// callID returns the id that Serin gave the call; empty if another client calls.
func callID(request *mcp.CallToolRequest) string {
	id, _ := request.Params.Meta[CallIDKey].(string)

	return id
}
