// Package contextstore is the platform's memory: the event log of every conversation, and what is derived from it
// (turns, leases, calls, pins), together with withdrawals, checkpoints and shared state. It serves ContextService.
//
// What an event implies is decided by pure functions: [project] for appended events, [acquire] for leases, [claim] for
// calls, [resolve] for withdrawn revisions. What segments come to is counted by [Tally] and stored as outcomes, each in
// the transaction that ends its segment. The methods of [Service] read rows, decide, write rows, and tell followers;
// they do so through [Store], which packages sqlite and postgres implement and package storetest specifies. Several processes may
// share PostgreSQL: what one of them writes, the others are given a [Hint] of, and look.
//
// What agents remember of users outlives conversations. Both stores index the words that [wordsOf] cuts, and rank by them
// and by vectors (exact cosines: a user has few); [fuse] joins the rankings. Expired memories are not shown, and their rows
// go with what is written next.
//
// Everything that writes is one serialisable transaction, so a conversation's log has no gaps and a stale executor
// writes nothing. Outcomes that are old, and old withdrawals that later ones have overruled, go with what is written next.
// Memory holds only what can be had from the store again: who follows, who waits, and current epochs.
package contextstore
