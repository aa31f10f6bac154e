package contextstore

import (
	"strconv"
	"testing"
	"time"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
)

func TestEpochsNeverGoBack(t *testing.T) {
	now := time.Unix(100, 0)
	known := newEpochs(time.Second)

	known.note(&contextv1.Turn{TurnId: "t", Agent: "billing", Epoch: 3}, now)
	known.note(&contextv1.Turn{TurnId: "t", Agent: "triage", Epoch: 2}, now) // an older read that came late

	if entry, found := known.find("t", now); !found || entry.epoch != 3 || entry.agent != "billing" {
		t.Errorf("got %+v", entry)
	}

	known.note(&contextv1.Turn{TurnId: "t", Epoch: 3, Status: contextv1.TurnStatus_TURN_STATUS_COMPLETED}, now)
	known.note(&contextv1.Turn{TurnId: "t", Epoch: 3, Status: contextv1.TurnStatus_TURN_STATUS_RUNNING}, now)

	if entry, _ := known.find("t", now); !entry.ended {
		t.Error("an ended turn runs again")
	}

	if _, found := known.find("t", now.Add(time.Second)); found {
		t.Error("an expired entry is used")
	}
}

func TestEpochsAreBounded(t *testing.T) {
	known := newEpochs(time.Second)
	for i := range 3 * maxEpochs {
		known.note(&contextv1.Turn{TurnId: strconv.Itoa(i)}, time.Unix(100, 0))
	}

	if len(known.turns) > maxEpochs {
		t.Errorf("%d turns are remembered, want at most %d", len(known.turns), maxEpochs)
	}
}
