package loadtest

import (
	"fmt"
	"time"
)

// Abort is how fast a revision stopped getting turns.
type Abort struct {
	Agent    string `json:"agent"`
	Revision string `json:"revision"`
	// Commanded is when the command was sent, Answered how long after that it was answered.
	Commanded time.Time     `json:"commanded"`
	Answered  time.Duration `json:"answeredNs"`
	// Last is how long after the command the last segment began on the revision, by the store's clock; 0 if none did.
	Last time.Duration `json:"lastNs"`
	// Late are the segments that began on it after the command.
	Late int `json:"late"`
}

// Abort measures how long a revision got turns after a command, until it got the next conversations or for good: until
// is the zero time then.
func (r *Report) Abort(agent, revision string, commanded, until time.Time) Abort {
	abort := Abort{Agent: agent, Revision: revision, Commanded: commanded, Late: r.Starts(agent, revision, commanded, until)}

	if last, found := r.LastStart(agent, revision, until); found && last.After(commanded) {
		abort.Last = last.Sub(commanded)
	}

	return abort
}

func (a Abort) String() string {
	return fmt.Sprintf("%s %s: answered after %s, last new turn %s after the command (%d after it)",
		a.Agent, a.Revision, short(a.Answered), short(a.Last), a.Late)
}
