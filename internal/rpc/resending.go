package rpc

import (
	"strings"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/serinhq/serin/internal/fault"
)

const (
	// A refusal that names another revision leads there at once; one that names what was just asked means that a route
	// is still on its way to this process.
	maxReroutes     = 4
	rerouteWait     = 20 * time.Millisecond
	longRerouteWait = 160 * time.Millisecond

	// Calls that never left are sent again for as long as their caller waits, or a few times if it does not.
	maxMisses    = 4
	missWait     = 5 * time.Millisecond
	longMissWait = 100 * time.Millisecond

	// Idempotent calls are tried as often as grpc-go does it elsewhere.
	maxRetries    = 4
	retryWait     = 50 * time.Millisecond
	longRetryWait = time.Second
)

// resending decides for one call whether an error is its answer, or the call is sent again. It begins with what is
// known of the call and counts what became of it.
type resending struct {
	mesh       bool // elsewhere grpc-go itself waits for servers and tries again
	waits      bool // the caller waits for a server to be there
	idempotent bool
	routed     bool // the caller gave a route, so that refusals may change it
	route      Route
	budget     *budget
	attempts   *attempts

	misses, retries, reroutes int
}

// after returns how long to wait until the call is sent again; false if the error is the answer. Sent says whether any
// of the call may have left this process.
func (r *resending) after(err error, sent bool) (time.Duration, bool) {
	refusal := fault.From(err)

	switch {
	case r.routed && sent && leads(refusal) != "":
		return r.reroute(leads(refusal))
	case !r.mesh || refusal.Code != codes.Unavailable:
		return 0, false
	case !sent && !isShed(refusal):
		return r.miss()
	case sent && r.idempotent && refusal.Reason != reasonCommitUnknown:
		return r.retry()
	default:
		return 0, false
	}
}

// reasonCommitUnknown says that a call may have had its effect, and that not every method bears a second one: the caller knows.
const reasonCommitUnknown = "COMMIT_UNKNOWN"

// leads returns the revision that a refusal leads to; empty if it is none of that kind.
func leads(refusal *fault.Error) string {
	switch refusal.Reason {
	case "WRONG_REVISION":
		return refusal.Metadata["pinned_revision"]
	case "REVISION_WITHDRAWN":
		return refusal.Metadata["replacement"]
	default:
		return ""
	}
}

// isShed reports whether a call was kept back on purpose: by the mesh's circuit breaker, a drop policy or an injected
// fault. grpc-go tells these from accidents by their text alone.
func isShed(refusal *fault.Error) bool {
	for _, text := range []string{"fault injection", "RPC is dropped", "max requests"} {
		if strings.Contains(refusal.Message, text) {
			return true
		}
	}

	return false
}

func (r *resending) reroute(revision string) (time.Duration, bool) {
	if r.reroutes == maxReroutes {
		return 0, false
	}

	wait := time.Duration(0)
	if revision == r.route.Revision {
		wait = step(rerouteWait, longRerouteWait, r.reroutes)
	}

	r.attempts.allow()
	r.reroutes++
	r.route.Revision = revision

	return wait, true
}

func (r *resending) miss() (time.Duration, bool) {
	if !r.waits && r.misses == maxMisses {
		return 0, false
	}

	wait := step(missWait, longMissWait, r.misses)
	r.misses++

	return wait, true
}

func (r *resending) retry() (time.Duration, bool) {
	if r.retries == maxRetries || !r.budget.withdraw() {
		return 0, false
	}

	r.attempts.allow()

	wait := step(retryWait, longRetryWait, r.retries)
	r.retries++

	return wait, true
}

// step doubles first so many times, up to longest.
func step(first, longest time.Duration, times int) time.Duration {
	return min(first<<min(times, 16), longest)
}
