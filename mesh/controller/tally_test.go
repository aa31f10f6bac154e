package controller

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
	"github.com/serinhq/serin/mesh/canary"
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
	if evidence.Turns != 3 || evidence.Failed != 1 || evidence.Died != 0 {
		t.Errorf("the evidence is %+v", evidence)
	}

	if p99 := evidence.P99; p99 < 400*time.Millisecond || p99 > 404*time.Millisecond {
		t.Errorf("p99 is %s, want 400ms within 1%%: what was cancelled or lost has no latency", p99)
	}

	numbers := counted.numbers()
	if numbers.GetTurns() != 5 || numbers.GetConversations() != 1 || numbers.GetFailed() != 1 || numbers.GetLost() != 1 || numbers.GetToolErrors() != 5 ||
		numbers.GetThumbsUp() != 1 || numbers.GetThumbsDown() != 1 || numbers.GetTokensPerTurn() != 100 || numbers.GetCostPerTurnUsd() != 2 {
		t.Errorf("the numbers are %v", numbers)
	}
}

// TestTheDeadHaveFailed: a process that gives a segment back says nothing about its revision, one that dies does.
func TestTheDeadHaveFailed(t *testing.T) {
	counted := newTally()

	for i := range int64(3) {
		lost := outcomeOf(i+1, contextv1.Outcome_KIND_LOST, "b", "c", time.Hour)
		if i > 0 {
			lost.Reason = reasonDied
		}

		counted.take(lost)
	}

	counted.take(outcomeOf(4, contextv1.Outcome_KIND_COMPLETED, "b", "c", time.Second))

	if got := counted.evidence(); got.Turns != 3 || got.Failed != 2 || got.Died != 2 || got.P99 > 2*time.Second {
		t.Errorf("the evidence is %+v", got)
	}

	if got := counted.numbers(); got.GetTurns() != 1 || got.GetFailed() != 0 || got.GetLost() != 3 {
		t.Errorf("the numbers are %v", got)
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

	if got, want := after.of("b").evidence(), before.of("b").evidence(); !reflect.DeepEqual(got, want) || want.Turns != 100 ||
		after.of("b").numbers().GetConversations() != 26 {
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
	at := func(taken ...int64) map[string]*ledger {
		ledgers := map[string]*ledger{}
		for i, one := range taken {
			ledgers[string(rune('a'+i))] = &ledger{Taken: one}
		}

		return ledgers
	}

	for name, test := range map[string]struct {
		kept    int64
		ledgers map[string]*ledger
		want    int64
	}{
		"nothing yet":          {0, nil, yetToCome},
		"numbers of nobody":    {7, nil, 7},
		"numbers":              {7, at(7, 7), 7},
		"no numbers":           {0, at(8, 2), 2},
		"an unknown beginning": {0, at(8, 0), 0},
		"one has lost its own": {9, at(9, 2), 2},
		"one has begun anew":   {9, at(9, 11), 9},
		"all have begun anew":  {9, at(14, 11), 11},
	} {
		if got := resume(test.kept, test.ledgers); got != test.want {
			t.Errorf("%s: %d, want %d", name, got, test.want)
		}
	}
}

func TestRestoredNumbers(t *testing.T) {
	kept := newLedger(2, noon, 5)
	kept.take(outcomeOf(6, contextv1.Outcome_KIND_COMPLETED, "b", "c", 0))

	data, err := json.Marshal(kept)
	if err != nil {
		t.Fatal(err)
	}

	record := Record{Agent: "billing", Position: 5, State: canary.State{Attempt: 2, StartedAt: noon}}
	for name, test := range map[string]struct {
		attempt   int64
		kept      []byte
		position  int64
		want, had int64
	}{
		"as kept":                       {2, data, 9, 9, 1},
		"of a release that kept less":   {2, []byte(strings.ReplaceAll(string(data), `"taken":6`, `"taken":0`)), 9, 9, 1},
		"of another attempt":            {3, data, 9, 4, 0},
		"damaged":                       {2, []byte("{"), 9, 4, 0},
		"missing":                       {2, nil, 9, 4, 0},
		"they had been ahead of others": {2, data, 3, 6, 1},
	} {
		record.State.Attempt = test.attempt

		got := restored(record, test.kept, test.position)
		if got.Taken != test.want || got.of("b").Turns != test.had {
			t.Errorf("%s: taken up to %d, %d turns; want %d, %d", name, got.Taken, got.of("b").Turns, test.want, test.had)
		}

		before := got.of("b").Turns
		got.take(outcomeOf(test.want, contextv1.Outcome_KIND_COMPLETED, "b", "c", 0)) // again
		got.take(outcomeOf(test.want+1, contextv1.Outcome_KIND_COMPLETED, "b", "c", 0))

		if after := got.of("b").Turns; after != before+1 {
			t.Errorf("%s: %d of two turns were counted, want the one that is new", name, after-before)
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
