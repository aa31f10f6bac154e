package rpc

import "github.com/serinhq/serin/internal/fault"

// BusyRevision is the key under which a refusal for lack of room (AGENT_BUSY) names the revision that has none.
const BusyRevision = "revision"

// Busy reports whether an agent refused a call because it runs as many segments as it may: it may have room in a moment.
// The revision is the one that the mesh had chosen. Whoever calls again asks for that one, as [Route.Revision]: if every
// refusal were another draw, more conversations than a candidate's weight says would end at it once the stable revision
// is busy. Each caller keeps what it met alone, so that a turn whose caller gives up meets another draw at the next one.
func Busy(err error) (revision string, busy bool) {
	refusal := fault.From(err)
	if err == nil || refusal.Reason != "AGENT_BUSY" {
		return "", false
	}

	return refusal.Metadata[BusyRevision], true
}
