package loadtest

import (
	"slices"
	"time"
)

// Report is what came of a load.
type Report struct {
	// Scenario and Seed are what was asked for.
	Scenario Scenario `json:"scenario"`
	Seed     uint64   `json:"seed"`
	// Started is when it began, Took how long it went on.
	Started time.Time     `json:"started"`
	Took    time.Duration `json:"tookNs"`

	Conversations Conversations `json:"conversations"`
	Turns         Turns         `json:"turns"`

	// Flips are moments at which a conversation saw another revision of an agent than before, without a
	// revision_changed in its log. Changes are those with one.
	Flips   int `json:"flips"`
	Changes int `json:"changes"`
	// Lost are events that were missing in a stream or a log, Doubled those that came twice.
	Lost    int `json:"lost"`
	Doubled int `json:"doubled"`
	// Restarts are segments that lost their process and went on.
	Restarts int `json:"restarts"`
	// Violations are the first 100 of flips, lost and doubled events, and failed turns, in words.
	Violations []Violation `json:"violations"`

	// Latency is of whole turns that completed, from when the message should have been sent to the end of the answer.
	Latency Latency `json:"latency"`
	// FirstText is the time to the first text of an answer.
	FirstText Latency `json:"firstText"`
	// Lateness is by how much the generator itself was late: large values mean that this machine was too busy.
	Lateness Latency `json:"lateness"`

	// Revisions are by agent, the one with more conversations first.
	Revisions []Revision `json:"revisions"`
	// Shares and Aborts are what scripts measured.
	Shares []Share `json:"shares,omitempty"`
	Aborts []Abort `json:"aborts,omitempty"`
	// Marks are moments that scripts noted.
	Marks []Mark `json:"marks,omitempty"`
	// Bars are what [Report.Judge] found.
	Bars []Judged `json:"bars,omitempty"`

	// Series is what happened over time.
	Series Series `json:"series"`

	moments moments
}

// Conversations are counts of conversations.
type Conversations struct {
	// Started and Finished; what is neither finished, refused nor abandoned is open.
	Started  int `json:"started"`
	Finished int `json:"finished"`
	// Refused could not be opened, or not be gone on with.
	Refused int `json:"refused"`
	// Abandoned were cut short because the load was stopped.
	Abandoned int `json:"abandoned"`
}

// Turns are counts of turns. Each that was sent completed, failed, was cancelled or was abandoned.
type Turns struct {
	Sent      int `json:"sent"`
	Completed int `json:"completed"`
	Cancelled int `json:"cancelled"`
	// Failed ended with turn_failed, were refused, or did not end in time.
	Failed int `json:"failed"`
	// FailedBy are they by reason: the event's, the refusal's, or TIMEOUT.
	FailedBy map[string]int `json:"failedBy"`
	// Abandoned were in flight when the load's context ended.
	Abandoned int `json:"abandoned"`
	// Retries are streams that were cut, or requests that were refused as UNAVAILABLE, and made again.
	Retries int `json:"retries"`
	// Approvals are questions that were answered.
	Approvals int `json:"approvals"`
}

// ProviderError is the reason of turns that failed because of the LLM provider.
const ProviderError = "PROVIDER_ERROR"

// FailedExcept returns the turns that failed for other reasons than these.
func (t Turns) FailedExcept(reasons ...string) int {
	failed := 0

	for reason, count := range t.FailedBy {
		if !slices.Contains(reasons, reason) {
			failed += count
		}
	}

	return failed
}

// Violation is something that must not happen.
type Violation struct {
	// Kind is flip, lost, doubled or failed.
	Kind         string    `json:"kind"`
	Conversation string    `json:"conversation"`
	Sequence     int64     `json:"sequence,omitempty"`
	Time         time.Time `json:"time"`
	Text         string    `json:"text"`
}

// Revision is what one revision of an agent did. A segment is one agent's part of a turn; times are the store's.
type Revision struct {
	Agent    string `json:"agent"`
	Revision string `json:"revision"`
	// Conversations had a segment on it; Joined got it as their first pin, Moved as a later one.
	Conversations int `json:"conversations"`
	Joined        int `json:"joined"`
	Moved         int `json:"moved"`
	// Segments began on it; Failed ended with turn_failed, by reason in FailedBy; Lost went on elsewhere.
	Segments int            `json:"segments"`
	Failed   int            `json:"failed"`
	FailedBy map[string]int `json:"failedBy,omitempty"`
	Lost     int            `json:"lost"`
	// Latency is of its segments that did not fail, TurnLatency of the completed turns that it took part in.
	Latency     Latency `json:"latency"`
	TurnLatency Latency `json:"turnLatency"`
	// FirstStart and LastStart are the first and last time that a segment began on it.
	FirstStart time.Time `json:"firstStart,omitzero"`
	LastStart  time.Time `json:"lastStart,omitzero"`
}

// Mark is a moment.
type Mark struct {
	Name string    `json:"name"`
	Time time.Time `json:"time"`
}

// Revision returns what a revision did; the zero value with its name if nothing.
func (r *Report) Revision(agent, revision string) Revision {
	for _, found := range r.Revisions {
		if found.Agent == agent && found.Revision == revision {
			return found
		}
	}

	return Revision{Agent: agent, Revision: revision}
}

// Joins counts conversations that got the revision as their first pin, from a time on and before another; zero times
// mean no limit. An empty revision counts all of the agent.
func (r *Report) Joins(agent, revision string, from, to time.Time) int {
	return r.moments.count(r.moments.joins, agent, revision, from, to)
}

// Starts counts segments that began on the revision, from a time on and before another; zero times mean no limit. An
// empty revision counts all of the agent.
func (r *Report) Starts(agent, revision string, from, to time.Time) int {
	return r.moments.count(r.moments.starts, agent, revision, from, to)
}

// LastStart returns when the last segment began on the revision, before a time or ever; false if none did.
func (r *Report) LastStart(agent, revision string, before time.Time) (time.Time, bool) {
	return r.moments.last(agent, revision, before)
}
