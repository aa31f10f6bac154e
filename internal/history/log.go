package history

import (
	"fmt"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"
)

// LogAsked is an append to a log, or a reading of it.
type LogAsked struct {
	// Append says that Entry shall be appended if the log has Expected entries; otherwise the log is read.
	Append   bool
	Entry    string
	Expected int64
}

// LogTold is the answer: of an append that was made the entries that there are now, of a reading the log.
type LogTold struct {
	Unknown, Conflict bool
	Version           int64
	Log               string
}

// LogOf writes entries as [LogTold] has them.
func LogOf(entries []string) string { return strings.Join(entries, " ") }

// logState is what a log holds.
type logState struct {
	version int64
	log     string
}

func (s logState) with(entry string) logState {
	return logState{s.version + 1, strings.TrimPrefix(s.log+" "+entry, " ")}
}

// CheckLog says what can't be, of one log that was empty at first.
func CheckLog(about string, operations []porcupine.Operation, limit time.Duration) error {
	return check(about, porcupine.NondeterministicModel{
		Init: func() []any { return possible(logState{}) },
		Step: func(state, asked, told any) []any {
			return logStep(state.(logState), asked.(LogAsked), told.(LogTold)) //nolint:forcetypeassert // no others are recorded
		},
		DescribeOperation: func(asked, told any) string { return fmt.Sprintf("%+v is answered with %+v", asked, told) },
	}, operations, limit)
}

func logStep(state logState, asked LogAsked, told LogTold) []any {
	fits := state.version == asked.Expected

	switch {
	case !asked.Append:
		if told.Log == state.log {
			return possible(state)
		}
	case told.Unknown && fits:
		return possible(state, state.with(asked.Entry))
	case told.Unknown:
		return possible(state)
	case told.Conflict && !fits:
		return possible(state)
	case !told.Conflict && fits && told.Version == state.version+1:
		return possible(state.with(asked.Entry))
	}

	return impossible()
}
