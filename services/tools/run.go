package tools

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"sync"

	"google.golang.org/grpc/codes"

	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
	toolsv1 "github.com/serinhq/serin/gen/serin/tools/v1"
	"github.com/serinhq/serin/internal/fault"
)

// run is one call on its way to a result. It lives apart from the requests that wait for it.
type run struct {
	tool          *tool
	agent         string
	request       *toolsv1.ExecuteRequest // the first one
	digest        string                  // sha256 in hex over the arguments
	needsApproval bool

	// Guarded by runs.mu.
	watchers         int
	begun, abandoned bool

	// waiting ends when nobody waits any more for a call that has not begun.
	waiting context.Context
	abandon context.CancelFunc

	// unsettled means that the effect may exist and the store still takes the claim for held. Set before the run ends.
	unsettled bool

	done   chan struct{} // closed after result and err were set
	result *eventv1.ToolResult
	err    error

	mu       sync.Mutex
	epoch    int64
	progress *eventv1.ToolProgress // the latest
	version  int                   // of progress
	news     chan struct{}         // closed and replaced with every progress
}

func newRun(ctx context.Context, request *toolsv1.ExecuteRequest, agent string, tool *tool, needsApproval bool) *run {
	digest := sha256.Sum256([]byte(request.GetCall().GetArguments()))
	waiting, abandon := context.WithCancel(ctx)

	return &run{
		tool: tool, agent: agent, request: request, digest: hex.EncodeToString(digest[:]), needsApproval: needsApproval,
		waiting: waiting, abandon: abandon,
		done: make(chan struct{}), epoch: request.GetEpoch(), news: make(chan struct{}),
	}
}

func (r *run) callID() string { return r.request.GetCall().GetCallId() }

func (r *run) toolName() string { return r.request.GetCall().GetTool() }

func (r *run) currentEpoch() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()

	return r.epoch
}

// raiseEpoch follows the turn's latest epoch and refuses older ones.
func (r *run) raiseEpoch(epoch int64) error {
	r.mu.Lock()
	defer r.mu.Unlock()

	if epoch < r.epoch {
		return fault.New(codes.FailedPrecondition, "STALE_EPOCH", "epoch %d of turn %s is stale: it is at %d by now",
			epoch, r.request.GetTurnId(), r.epoch)
	}

	r.epoch = epoch

	return nil
}

// report shows progress to whoever watches. Watchers who are slow see the latest alone.
func (r *run) report(progress *eventv1.ToolProgress) {
	r.mu.Lock()
	defer r.mu.Unlock()

	r.progress = progress
	r.version++
	close(r.news)
	r.news = make(chan struct{})
}

func (r *run) latest() (progress *eventv1.ToolProgress, version int, news <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()

	return r.progress, r.version, r.news
}

// watch shows progress until there is a result.
func (r *run) watch(ctx context.Context, show func(*eventv1.ToolProgress) error) (*eventv1.ToolResult, error) {
	for seen := 0; ; {
		progress, version, news := r.latest()

		if version > seen {
			if err := show(progress); err != nil {
				return nil, err
			}

			seen = version
		}

		select {
		case <-r.done:
			return r.result, r.err
		default:
		}

		select {
		case <-r.done:
		case <-news:
		case <-ctx.Done():
			return nil, fault.From(ctx.Err())
		}
	}
}
