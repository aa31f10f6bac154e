package contextstore

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
)

// TestTallyIsCarried: what an outcome carries is the whole tally.
func TestTallyIsCarried(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		number := rapid.Int64Range(0, 1<<40)
		small := rapid.Int32Range(0, 1<<20)
		tally := Tally{
			InputTokens: number.Draw(t, "input"), OutputTokens: number.Draw(t, "output"),
			CachedInputTokens: number.Draw(t, "cached"), Steps: small.Draw(t, "steps"), ToolCalls: small.Draw(t, "calls"),
			ToolErrors: small.Draw(t, "errors"), GuardrailHits: small.Draw(t, "hits"),
		}

		if rapid.Bool().Draw(t, "began") {
			tally.BeganAt = time.Unix(0, number.Draw(t, "began at")).UTC()
			if rapid.Bool().Draw(t, "has output") {
				tally.FirstOutputAt = tally.BeganAt.Add(time.Duration(number.Draw(t, "first output")))
			}
		}

		if got := TallyOf(tally.Outcome()); got != tally {
			t.Fatalf("got %+v, want %+v", got, tally)
		}
	})
}

// TestUncountedSegment: a turn of a release that did not count ends without a duration, and not with one since 1970.
func TestUncountedSegment(t *testing.T) {
	now := time.Unix(1_800_000_000, 0).UTC()
	turn := Turn{Turn: &contextv1.Turn{Agent: "billing", Segment: 1}, Phase: PhaseExecuting, Revision: "a"}
	turn.Tally = turn.Tally.counting(&eventv1.Event{
		Kind: &eventv1.Event_MessagePart{MessagePart: &eventv1.MessagePart{Text: "x"}},
	}, now)

	ended := turn.outcome(contextv1.Outcome_KIND_COMPLETED, now)
	if !ended.GetBeganAt().AsTime().Equal(now) || ended.GetFirstOutput() != nil {
		t.Errorf("the outcome is %v", ended)
	}
}
