package controller

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
)

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// outcomeOf is an outcome of a segment that began at noon.
func outcomeOf(position int64, kind contextv1.Outcome_Kind, revision, conversation string, took time.Duration) *contextv1.Outcome {
	return &contextv1.Outcome{
		Position: position, Kind: kind, Agent: "billing", Revision: revision, ConversationId: conversation,
		BeganAt: timestamppb.New(noon), EndedAt: timestamppb.New(noon.Add(took)),
		Usage: &eventv1.Usage{InputTokens: 90, OutputTokens: 10}, CostMicros: 2_000_000, ToolErrors: 1,
	}
}

func TestTallyCountsWhatTheAgentBroughtToAnEnd(t *testing.T) {
	counted := newTally()

	for i, kind := range []contextv1.Outcome_Kind{
		contextv1.Outcome_KIND_COMPLETED, contextv1.Outcome_KIND_HANDED_OFF, contextv1.Outcome_KIND_WAITING,
		contextv1.Outcome_KIND_FAILED, contextv1.Outcome_KIND_CANCELLED, contextv1.Outcome_KIND_LOST,
		contextv1.Outcome_KIND_THUMBS_UP, contextv1.Outcome_KIND_THUMBS_DOWN, contextv1.Outcome_Kind(99),
	} {
		counted.take(outcomeOf(int64(i+1), kind, "b", "c", time.Duration(i+1)*100*time.Millisecond))
	}

	evidence := counted.evidence()
	if evidence.Turns != 4 || evidence.Failed != 1 || evidence.Conversations != 1 {
		t.Errorf("the evidence is %+v", evidence)
	}

	if p99 := evidence.P99; p99 < 400*time.Millisecond || p99 > 404*time.Millisecond {
		t.Errorf("p99 is %s, want 400ms within 1%%: what was cancelled or lost has no latency", p99)
	}

	numbers := counted.numbers()
	if numbers.GetTurns() != 5 || numbers.GetFailed() != 1 || numbers.GetLost() != 1 || numbers.GetToolErrors() != 5 ||
		numbers.GetThumbsUp() != 1 || numbers.GetThumbsDown() != 1 || numbers.GetTokensPerTurn() != 100 || numbers.GetCostPerTurnUsd() != 2 {
		t.Errorf("the numbers are %v", numbers)
	}
}

func TestLatencyIsWithinOnePercent(t *testing.T) {
	for _, took := range []time.Duration{0, time.Microsecond, time.Millisecond, 1234 * time.Millisecond, time.Hour, 23 * time.Hour, 40 * time.Hour, -time.Second} {
		counted := newTally()
		counted.take(outcomeOf(1, contextv1.Outcome_KIND_COMPLETED, "b", "c", took))

		want := min(max(took, 0), longest)
		if got := counted.quantile(99); got < want-want/100 || got > want+want/100+time.Microsecond {
			t.Errorf("%s is read as %s", took, got)
		}
	}
}

func TestLedgerIsKeptAsItIs(t *testing.T) {
	before := newLedger(3, noon, 7)
	for i := range int64(100) {
		before.take(outcomeOf(7+i, contextv1.Outcome_KIND_COMPLETED, "b", string(rune('a'+i%26)), time.Duration(i)*time.Millisecond))
	}

	before.take(outcomeOf(200, contextv1.Outcome_KIND_FAILED, "", "c", 0))

	data, err := json.Marshal(before)
	if err != nil {
		t.Fatal(err)
	}

	var after ledger
	if err := json.Unmarshal(data, &after); err != nil {
		t.Fatal(err)
	}

	if after.Attempt != 3 || after.From != 7 || !after.StartedAt.Equal(noon) || after.Nobodys != 1 {
		t.Errorf("read as %+v", after)
	}

	if got, want := after.of("b").evidence(), before.of("b").evidence(); !reflect.DeepEqual(got, want) || want.Turns != 100 || want.Conversations != 26 {
		t.Errorf("read as %+v, want %+v", got, want)
	}
}

func TestLedgerTakesItsOwnAttemptOnly(t *testing.T) {
	counted := newLedger(1, noon, 5)
	counted.take(outcomeOf(4, contextv1.Outcome_KIND_COMPLETED, "b", "c", 0)) // before the attempt began

	early := outcomeOf(6, contextv1.Outcome_KIND_COMPLETED, "b", "c", 0)
	early.BeganAt = timestamppb.New(noon.Add(-time.Second))
	counted.take(early) // of a segment that began before it

	opinion := outcomeOf(7, contextv1.Outcome_KIND_THUMBS_UP, "b", "c", 0)
	opinion.BeganAt = nil
	counted.take(opinion)

	counted.take(outcomeOf(8, contextv1.Outcome_KIND_COMPLETED, "b", "c", 0))

	if got := counted.of("b"); got.Turns != 1 || got.ThumbsUp != 1 {
		t.Errorf("counted %+v", got.counts)
	}
}

func TestResumePosition(t *testing.T) {
	record := func(position int64, gone bool) Record { return Record{Position: position, Gone: gone} }

	for name, test := range map[string]struct {
		kept    int64
		records []Record
		want    int64
	}{
		"nothing yet":            {0, nil, yetToCome},
		"numbers":                {7, []Record{record(3, false)}, 7},
		"no numbers":             {0, []Record{record(9, false), record(3, false)}, 2},
		"an unknown beginning":   {0, []Record{record(9, false), record(0, false)}, 0},
		"gone ones do not count": {0, []Record{record(9, false), record(3, true)}, 8},
	} {
		if got := resume(test.kept, test.records); got != test.want {
			t.Errorf("%s: %d, want %d", name, got, test.want)
		}
	}
}

func FuzzTally(f *testing.F) {
	data, err := json.Marshal(newTally())
	if err != nil {
		f.Fatal(err)
	}

	f.Add(data)
	f.Add([]byte(`{"latency":"","conversations":"AA=="}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var one tally
		if json.Unmarshal(data, &one) != nil {
			return
		}

		one.take(outcomeOf(1, contextv1.Outcome_KIND_COMPLETED, "b", "c", time.Second))

		if _, err := json.Marshal(&one); err != nil {
			t.Error(err)
		}
	})
}
