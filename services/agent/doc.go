// Package agent runs turns: it calls the model, runs the tools that the model asks for, hands over to other agents, and
// writes down every step before anyone sees it.
//
// The core is pure. [fold] turns a conversation's log into a state, [decide] turns a state into the next action; neither
// knows a clock, a network or a goroutine, and both are specified by the transcripts under testdata. The executor carries
// actions out under a lease, and everything it learns becomes an event that it folds like any other. That is why a turn
// can go on in another process: the log alone says what is left to do.
//
// Who writes what: the store appends agent_joined, segment_*, tool_started and the tool_result of claimed calls; this
// package appends the rest of a turn.
package agent
