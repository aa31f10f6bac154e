package agent

import (
	"encoding/json"
	"fmt"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
)

// checkpointFormat is the version of [checkpoint]; readers ignore all others and fold the whole log.
const checkpointFormat = 2

// checkpointAfter is how many events make a new checkpoint worth its write.
const checkpointAfter = 128

// checkpoint is the part of a state that later turns need.
type checkpoint struct {
	History  []message          `json:"history"`
	Arrivals map[string]arrival `json:"arrivals,omitempty"`
}

// encode makes a checkpoint of a state between turns.
func (s *state) encode() (*contextv1.Checkpoint, error) {
	data, err := json.Marshal(checkpoint{History: s.history, Arrivals: s.arrivals})
	if err != nil {
		return nil, fmt.Errorf("encode checkpoint: %w", err)
	}

	return &contextv1.Checkpoint{Sequence: s.sequence, Data: data, Format: checkpointFormat}, nil
}

// decode reads a checkpoint; nil if there is none that this release understands, which costs only time.
func decode(from *contextv1.Checkpoint) *state {
	if from.GetFormat() != checkpointFormat {
		return nil
	}

	var stored checkpoint
	if err := json.Unmarshal(from.GetData(), &stored); err != nil {
		return nil
	}

	s := newState()
	s.history, s.sequence = stored.History, from.GetSequence()

	for name, arrival := range stored.Arrivals {
		if arrival.User < 0 || arrival.Handing < 0 || arrival.LastN < 0 {
			return nil // it was not written by this code, so nothing in it can be relied on
		}

		s.arrivals[name] = arrival
	}

	for index, message := range s.history {
		for _, call := range message.Calls {
			s.calls[call.ID] = index
		}
	}

	return s
}
