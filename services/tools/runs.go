package tools

import (
	"sync"

	"google.golang.org/grpc/codes"

	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
	"github.com/serinhq/serin/internal/fault"
)

// runs are the calls that this process works on, by call id, and those that it must never run again.
type runs struct {
	mu     sync.Mutex
	active map[string]*run
	// unknown are calls of this process whose effect may exist without the store knowing that they are lost: it would
	// grant them to the same holder again. They are kept for as long as the process lives, and are few.
	unknown map[string]*run
}

func newRuns() *runs { return &runs{active: map[string]*run{}, unknown: map[string]*run{}} }

// join returns the run of a call: the one that is under way, the one that ended without anybody knowing how, or the
// offered one, which is to be started then (fresh). The caller watches it until [runs.leave].
func (r *runs) join(offered *run) (joined *run, fresh bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()

	current := r.active[offered.callID()]
	if current == nil {
		current = r.unknown[offered.callID()]
	}

	if current == nil {
		r.active[offered.callID()] = offered
		offered.watchers++

		return offered, true, nil
	}

	if err := current.adopt(offered); err != nil {
		return nil, false, err
	}

	current.watchers++

	return current, false, nil
}

// leave ends a watch. A run that nobody watches and that has not begun is abandoned; one that has begun goes on.
func (r *runs) leave(left *run) {
	r.mu.Lock()
	defer r.mu.Unlock()

	left.watchers--
	r.abandonIfIdle(left)
}

// begin marks that the call is about to be claimed; it returns false if the run was abandoned.
func (r *runs) begin(begun *run) bool {
	r.mu.Lock()
	defer r.mu.Unlock()

	begun.begun = !begun.abandoned

	return begun.begun
}

// pause marks that another process has the call: there is nothing to lose by abandoning it now.
func (r *runs) pause(paused *run) {
	r.mu.Lock()
	defer r.mu.Unlock()

	paused.begun = false
	r.abandonIfIdle(paused)
}

// abandonIfIdle takes the run out of sight first, so that the next request starts another. The lock is held.
func (r *runs) abandonIfIdle(idle *run) {
	if idle.watchers > 0 || idle.begun {
		return
	}

	idle.abandoned = true
	r.forget(idle)
	idle.abandon()
}

// finish tells all who watch. A call that must not run again is remembered before its run is forgotten.
func (r *runs) finish(ended *run, result *eventv1.ToolResult, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()

	if ended.unsettled {
		r.unknown[ended.callID()] = ended
	}

	r.forget(ended)

	ended.result, ended.err = result, err
	close(ended.done)
}

// forget removes the run, unless another one took its place. The lock is held.
func (r *runs) forget(old *run) {
	if r.active[old.callID()] == old {
		delete(r.active, old.callID())
	}
}

// adopt checks that a second request is for the very same call by the same agent, and takes over its epoch: after an
// agent's restart the claim is renewed under the new one.
func (r *run) adopt(other *run) error {
	mine, theirs := r.request, other.request

	switch {
	case r.agent != other.agent, mine.GetConversationId() != theirs.GetConversationId(), mine.GetTurnId() != theirs.GetTurnId():
		return fault.New(codes.FailedPrecondition, "CALL_NOT_PROPOSED", "call %s is not one of turn %s", r.callID(), theirs.GetTurnId())
	case mine.GetCall().GetTool() != theirs.GetCall().GetTool(), r.digest != other.digest:
		return fault.New(codes.FailedPrecondition, "ARGUMENTS_CHANGED", "call %s is under way with another tool or other arguments", r.callID())
	}

	return r.raiseEpoch(theirs.GetEpoch())
}
