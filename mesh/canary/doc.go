// Package canary decides how an agent moves from one revision to another. It is pure: [Step] takes a state, what is
// observed and perhaps a command, and returns the next state and what is worth telling; [Want] says what the world should
// look like in a state. It does no I/O and reads no clock. The transcripts under testdata are its specification.
//
//	Idle ──start──> Preparing ──ready──> Progressing ──last step──> Promoting ──carried──> Succeeded ──window──> Idle
//	                 ^  │ │                │  ^  │                     ^ │                      │
//	           resume│  │ └────────┐  pause│  │  │                     │ │                      │ undo
//	                 │  v    abort │       v  │resume                  │ │                      │
//	                Paused ────────┤     Paused ──────promote──────────┘ │                      │
//	                               └────────┴─────────abort──────────────┴──> Aborting <────────┘
//	                                                                              └──carried──> Failed, or Idle
//
// What the picture leaves out: promote goes on from a pause to the next step, too; a weight that is set by hand is a pause,
// from wherever the candidate is; a first step of 100% of a rollout by hand leads from Preparing to Promoting. A new
// revision starts from Aborting, Succeeded and Failed as it does from Idle; in the middle of a rollout the candidate is
// taken back first, see [State.Parts]. An abort ends in Failed if its candidate was rejected, and in Idle if it was just
// not wanted any more.
//
// A step is a list of rules, applied until none applies any more; each file holds the rules of one concern. What the mesh
// shall carry is numbered: whoever holds a decision can tell whether it is newer than another, and an observation counts
// as the outcome of a decision only if it carries that decision's number.
//
// Whoever uses it saves the state before carrying out what it wants, except that an abort need not wait for that: a mesh
// that carries a newer decision than the state is believed, and so is one that gives traffic back under the same number.
// Nothing undoes an abort.
package canary
