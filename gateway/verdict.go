package gateway

import (
	"time"

	"google.golang.org/grpc/codes"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	"github.com/serinhq/serin/internal/fault"
)

// verdict is what the dispatcher does after a try to hand a turn to its agent.
type verdict int

const (
	// verdictLeave leaves the turn: it is in good hands, or the next look finds it.
	verdictLeave verdict = iota
	// verdictRetry tries again after a while.
	verdictRetry
	// verdictReread reads the turn and tries again: it is not as it was thought to be.
	verdictReread
	// verdictUnavailable fails the turn: its agent can't be had.
	verdictUnavailable
)

// judge decides after a try that ended with an error, nil if the agent reported the segment's end.
func judge(err error) verdict {
	if err == nil {
		return verdictLeave
	}

	inner := fault.From(err)

	switch inner.Reason {
	case "NOT_OWNER", "WRONG_REVISION", "REVISION_WITHDRAWN":
		return verdictReread
	case "LEASE_HELD", "TURN_WAITING", "TURN_ENDED", "STALE_EPOCH":
		return verdictLeave
	}

	switch inner.Code { //nolint:exhaustive // the others may pass
	case codes.PermissionDenied:
		if inner.Reason == "" { // the mesh's policies follow what is declared, and may be on their way
			return verdictRetry
		}

		return verdictUnavailable
	case codes.NotFound:
		return verdictLeave
	default:
		return verdictRetry
	}
}

// judgeAgent decides after an agent's client could not be had.
func judgeAgent(err error) verdict {
	if fault.CodeOf(err) == codes.Unavailable {
		return verdictRetry
	}

	return verdictUnavailable
}

// needsExecutor reports whether a turn runs, and nobody holds its lease.
func needsExecutor(turn *contextv1.Turn, now time.Time) bool {
	if turn.GetStatus() != contextv1.TurnStatus_TURN_STATUS_RUNNING {
		return false
	}

	return turn.GetLeaseHolder() == "" || !turn.GetLeaseExpiresAt().AsTime().After(now)
}

// isOverdue reports whether a turn's deadline has passed.
func isOverdue(turn *contextv1.Turn, now time.Time) bool {
	return turn.GetDeadline() != nil && !turn.GetDeadline().AsTime().After(now)
}
