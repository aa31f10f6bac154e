package tools

import (
	"context"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/serinhq/serin/internal/fault"
)

// slots bound how many calls of a tool run at once.
type slots chan struct{}

// acquire takes a slot within the wait, or fails with TOOL_BUSY.
func (s slots) acquire(ctx context.Context, tool string, wait time.Duration) (release func(), err error) {
	select {
	case s <- struct{}{}:
		return s.release, nil
	default:
	}

	timer := time.NewTimer(wait)
	defer timer.Stop()

	select {
	case s <- struct{}{}:
		return s.release, nil
	case <-timer.C:
	case <-ctx.Done():
	}

	return nil, fault.New(codes.ResourceExhausted, "TOOL_BUSY", "all %d slots of %s are taken; try again later", cap(s), tool).
		With("tool", tool).After(time.Second)
}

func (s slots) release() { <-s }
