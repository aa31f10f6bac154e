// Package canary decides how an agent moves from one revision to another. It is pure: [Step] takes a state, what is
// observed and perhaps a command, and returns the next state and what is worth telling; [Want] says what the world should
// look like in a state. It does no I/O and reads no clock. The transcripts under testdata are its specification.
package canary
