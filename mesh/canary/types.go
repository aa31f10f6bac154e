package canary

import "time"

// Phase is where a rollout is.
type Phase string

// The phases of a rollout.
const (
	Idle        Phase = "Idle"        // all is stable
	Preparing   Phase = "Preparing"   // the candidate starts; it has no weight
	Progressing Phase = "Progressing" // the candidate has the weight of its step
	Paused      Phase = "Paused"      // held at a weight until someone resumes, promotes or aborts
	Promoting   Phase = "Promoting"   // the candidate gets everything
	Aborting    Phase = "Aborting"    // everything goes back to stable
	Succeeded   Phase = "Succeeded"   // the candidate became stable; an undo is possible
	Failed      Phase = "Failed"      // the candidate was aborted, or its promotion undone
)

// Plan is how a rollout goes. [Plan.Validate] says what is wrong with one.
type Plan struct {
	// Steps are the candidate's percentages in order, rising, each 1 to 100.
	Steps []int `json:"steps"`
	// Pause is the least time at each step of an automatic rollout.
	Pause time.Duration `json:"pause"`
	// Automatic lets the gates decide; otherwise a person promotes each step.
	Automatic bool `json:"automatic,omitempty"`
	// SLA is the p99 above which an automatic rollout aborts; 0 means no limit.
	SLA time.Duration `json:"sla,omitempty"`
	// UndoWindow is how long the revision before stays warm after a promotion.
	UndoWindow time.Duration `json:"undoWindow"`
	// RetireIdle and RetireAfter say when a replaced revision goes: after that long without a turn, or at the latest.
	RetireIdle  time.Duration `json:"retireIdle"`
	RetireAfter time.Duration `json:"retireAfter"`
	// Slots says that routes follow weights alone, as those of adopted objects do: what has no weight can't be reached,
	// whatever a conversation keeps.
	Slots bool `json:"slots,omitempty"`
}

// State is all that the engine remembers of one agent; it is what is persisted. Revisions are short names.
type State struct {
	Agent string `json:"agent"`
	Phase Phase  `json:"phase"`
	// Attempt counts rollouts. Seq grows with every decision; the mesh carries both in its intent.
	Attempt int64 `json:"attempt"`
	Seq     int64 `json:"seq"`
	// Declared is the revision that the agent's declaration last asked for: a rollout starts when it changes.
	Declared  string `json:"declared,omitempty"`
	Stable    string `json:"stable,omitempty"`
	Candidate string `json:"candidate,omitempty"`
	// Weight is the candidate's share of new conversations in percent.
	Weight int `json:"weight"`
	// Goal is the weight that was decided and waits for the candidate to have enough ready processes; 0 if none does.
	Goal int `json:"goal,omitempty"`
	// Step is the index of the plan's step that the weight is of; -1 before the first.
	Step int  `json:"step"`
	Plan Plan `json:"plan"`
	// Since is when this phase and weight were decided; Reached is when the mesh carried them, zero before.
	Since   time.Time `json:"since"`
	Reached time.Time `json:"reached,omitzero"`
	// StartedAt is when this attempt began: evidence counts from there.
	StartedAt time.Time `json:"startedAt,omitzero"`
	// UnreadySince is since when the candidate has had no ready process while stable had one; zero if it has.
	UnreadySince time.Time `json:"unreadySince,omitzero"`
	// Previous is the revision that an undo returns to, until UndoUntil.
	Previous  string    `json:"previous,omitempty"`
	UndoUntil time.Time `json:"undoUntil,omitzero"`
	// Rejected are the revisions that were aborted or undone, with the attempt that it was: the newest of them.
	Rejected map[string]int64 `json:"rejected,omitempty"`
	// Leaving are live revisions that are neither stable nor candidate nor previous, oldest first.
	Leaving []Leaving `json:"leaving,omitempty"`
	// Withdrawals are those that the store has not confirmed, in order.
	Withdrawals []Withdrawal `json:"withdrawals,omitempty"`
	// Withdrawn are the revisions that the store was told to withdraw, with the attempt that it was: they are reinstated
	// before they are used again. The oldest are forgotten, as are those of Rejected.
	Withdrawn map[string]int64 `json:"withdrawn,omitempty"`
	// Next is the plan that was declared in the middle of a rollout: it counts once that has ended.
	Next *Plan `json:"next,omitempty"`
	// Reason says why the rollout is where it is, in words.
	Reason string `json:"reason,omitempty"`
}

// Leaving is a live revision on its way out.
type Leaving struct {
	Revision string `json:"revision"`
	// Since is when it was replaced or withdrawn.
	Since time.Time `json:"since"`
	// Successor is the revision that its pins were moved to; empty while it keeps them.
	Successor string `json:"successor,omitempty"`
	// Gone says that routes and subset may go: its conversations have been withdrawn and nothing runs on it.
	Gone bool `json:"gone,omitempty"`
}

// Withdrawal is a withdrawal that the store shall carry out: see ContextService.Withdraw. No two of one revision carry
// the same attempt, but for one that fences what was withdrawn before: a reinstatement is an attempt of its own.
type Withdrawal struct {
	Revision    string `json:"revision"`
	Replacement string `json:"replacement"`
	Attempt     int64  `json:"attempt"`
	Fence       bool   `json:"fence,omitempty"`
	// Cause is one of the causes below. A withdrawal of a revision in favour of itself reinstates it.
	Cause string `json:"cause"`
}

// The causes of withdrawals.
const (
	CauseAborted = "aborted"
	CauseUndone  = "undone"
	CauseRetired = "retired"
)

// Kind is the kind of a command.
type Kind string

// The commands.
const (
	Declare   Kind = "declare"   // the declaration asks for a revision; the same as before changes nothing but the plan
	Start     Kind = "start"     // a person asks for a revision
	Supersede Kind = "supersede" // another revision is about to take the candidate's place: see [State.Parts]
	SetWeight Kind = "set-weight"
	Pause     Kind = "pause"
	Resume    Kind = "resume"
	Promote   Kind = "promote"
	Abort     Kind = "abort"
	Undo      Kind = "undo"
	Retry     Kind = "retry"
)

// Command is what someone wants.
type Command struct {
	Kind Kind
	// Revision and Plan come with Declare and Start, Revision with Supersede.
	Revision string
	Plan     Plan
	// Weight comes with SetWeight.
	Weight int
	// Full comes with Promote: skip the steps that are left.
	Full bool
	// Fence comes with Abort.
	Fence bool
	// Reason is why, in words.
	Reason string
}

// Readiness is how many of a revision's processes are ready, and how many there shall be. A size of 0 counts as 1.
type Readiness struct{ Ready, Size int }

// Evidence is what a revision's segments came to since the attempt began.
type Evidence struct {
	// Turns are the segments that say something about the revision, and Failed those of them that speak against it. Died
	// are those of the failed that lost their process: their turns went on elsewhere.
	Turns, Failed, Died int64
	P99                 time.Duration
}

// Use is how much the store says that a revision is used.
type Use struct {
	Running int64
	// LastActive is zero if nothing ever ran on it.
	LastActive time.Time
}

// Intent is the decision that the mesh carries.
type Intent struct {
	Attempt, Seq      int64
	Phase             Phase
	Stable, Candidate string
	Weight            int
}

// Observation is what the world looks like. What is not known is absent: decisions then wait.
type Observation struct {
	Now time.Time
	// Mesh is the intent that the mesh carries; nil if it is not known or there is none.
	Mesh *Intent
	// Converged says that the mesh carries what [Want] says of the present state, and that it was propagated.
	Converged bool
	// Routed are the revisions that still have a subset or a route; nil if it is not known.
	Routed []string
	// Ready, Evidence and Use are by revision. A map that is nil is not known; a revision that a map does not have has
	// nothing: no processes, no turns, no conversations.
	Ready    map[string]Readiness
	Evidence map[string]Evidence
	Use      map[string]Use
	// Confirmed are withdrawals that the store has carried out.
	Confirmed []Withdrawal
}

// Event is something that is worth telling: it goes to the audit log.
type Event struct {
	// Action: start, supersede, set-weight, pause, resume, promote, step, abort, undo, retry, succeed, reject, retire,
	// adopt (a decision found in the mesh).
	Action string
	Reason string
	// Commanded says that the command did it; else the engine did it by itself.
	Commanded bool
	// Before and After are where the rollout was, and where it came to by this.
	Before, After Place
}

// Place is where a rollout is, in short.
type Place struct {
	Attempt           int64
	Phase             Phase
	Stable, Candidate string
	Weight            int
}

// Wanted is what the world should look like in a state.
type Wanted struct {
	// Workloads are the revisions whose processes shall run.
	Workloads []string
	// Share is the least part of the stable revision's processes that the candidate shall have, in percent.
	Share int
	// Intent is the decision that the mesh shall carry.
	Intent Intent
	// Live are the revisions that shall have a subset, an anchor and a pin route, stable first.
	Live []string
	// Redirects are withdrawn revisions whose pin routes lead elsewhere, with the revision that they lead to.
	Redirects map[string]string
	// Withdrawals shall be carried out by the store, in order.
	Withdrawals []Withdrawal
}

// Refusal is why a command can't be carried out. Reason is for machines (NO_CANDIDATE, NOTHING_TO_PROMOTE,
// NOTHING_TO_UNDO, NOTHING_TO_RETRY, NOT_PAUSED, ALREADY_STABLE, REVISION_REJECTED, ROLLOUT_IN_PROGRESS,
// CANDIDATE_NOT_READY, WITHDRAWALS_PENDING, INVALID_PLAN, INVALID_WEIGHT, INVALID_COMMAND), Message says what to do
// instead.
type Refusal struct{ Reason, Message string } //nolint:errname // it is what a command meets; nothing went wrong

// Error returns the message.
func (r *Refusal) Error() string { return r.Message }
