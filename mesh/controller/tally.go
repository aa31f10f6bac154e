package controller

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"google.golang.org/protobuf/types/known/durationpb"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	rolloutv1 "github.com/serinhq/serin/gen/serin/rollout/v1"
	"github.com/serinhq/serin/mesh/canary"
)

const (
	// longest is the longest latency that is told from longer ones.
	longest = 24 * time.Hour
	// maxConversations is how many conversations of a revision are counted.
	maxConversations = 1 << 16
	// reasonDied is why a segment was lost whose executor neither gave it back nor was fenced: see Outcome.reason.
	reasonDied = "EXECUTOR_DIED"
)

// tally is what one revision's segments came to.
//
// A turn that counts for the gates is a segment that the agent brought to an end: it answered, handed on, or failed, if
// only by dying. One that a user cancelled says nothing about the revision, nor does one that the process gave back; one
// that waits for a human has come to nothing yet, but took its time.
type tally struct {
	counts

	latency       *hdrhistogram.Histogram // microseconds
	conversations map[uint64]struct{}     // by hash
}

type counts struct {
	Turns      int64 `json:"turns"`
	Failed     int64 `json:"failed"`
	Cancelled  int64 `json:"cancelled"`
	Lost       int64 `json:"lost"`
	Died       int64 `json:"died,omitempty"`
	Waiting    int64 `json:"waiting,omitempty"`
	ToolErrors int64 `json:"toolErrors"`
	Tokens     int64 `json:"tokens"`
	CostMicros int64 `json:"costMicros"`
	ThumbsUp   int64 `json:"thumbsUp"`
	ThumbsDown int64 `json:"thumbsDown"`
}

func newTally() *tally {
	return &tally{
		latency:       hdrhistogram.New(1, longest.Microseconds(), 2),
		conversations: map[uint64]struct{}{},
	}
}

// take counts one outcome.
func (t *tally) take(outcome *contextv1.Outcome) {
	switch outcome.GetKind() {
	case contextv1.Outcome_KIND_COMPLETED, contextv1.Outcome_KIND_HANDED_OFF:
		t.timed(outcome)
		t.Turns++
	case contextv1.Outcome_KIND_WAITING:
		t.timed(outcome)
		t.Waiting++
	case contextv1.Outcome_KIND_FAILED:
		t.timed(outcome)
		t.Turns++
		t.Failed++
	case contextv1.Outcome_KIND_CANCELLED:
		t.ended(outcome)
		t.Cancelled++
	case contextv1.Outcome_KIND_LOST:
		t.lost(outcome)
	case contextv1.Outcome_KIND_THUMBS_UP:
		t.ThumbsUp++
	case contextv1.Outcome_KIND_THUMBS_DOWN:
		t.ThumbsDown++
	case contextv1.Outcome_KIND_UNSPECIFIED: // of a newer release
	}
}

// lost counts a segment that went on elsewhere: its time is in the outcome of the one that ends it.
func (t *tally) lost(outcome *contextv1.Outcome) {
	t.Lost++

	if outcome.GetReason() == reasonDied {
		t.Died++
	}
}

// timed counts what a segment used, and how long it took.
func (t *tally) timed(outcome *contextv1.Outcome) {
	t.ended(outcome)

	took := outcome.GetEndedAt().AsTime().Sub(outcome.GetBeganAt().AsTime())
	_ = t.latency.RecordValue(min(max(took, 0), longest).Microseconds()) // it is within the range
}

func (t *tally) ended(outcome *contextv1.Outcome) {
	t.ToolErrors += int64(outcome.GetToolErrors())
	t.Tokens += outcome.GetUsage().GetInputTokens() + outcome.GetUsage().GetOutputTokens()
	t.CostMicros += outcome.GetCostMicros()

	if len(t.conversations) < maxConversations {
		hash := fnv.New64a()
		_, _ = hash.Write([]byte(outcome.GetConversationId())) // a hash takes everything
		t.conversations[hash.Sum64()] = struct{}{}
	}
}

func (t *tally) quantile(percent float64) time.Duration {
	return time.Duration(t.latency.ValueAtQuantile(percent)) * time.Microsecond
}

// evidence is what the gates judge by: a process that died failed its segment, though the turn went on.
func (t *tally) evidence() canary.Evidence {
	return canary.Evidence{Turns: t.Turns + t.Died, Failed: t.Failed + t.Died, Died: t.Died, P99: t.quantile(99)}
}

// numbers is what people see: all segments that ended are among the turns. Those that died are among the lost.
func (t *tally) numbers() *rolloutv1.Numbers {
	ended := t.Turns + t.Cancelled + t.Waiting
	each := 1 / float64(max(ended, 1))

	return &rolloutv1.Numbers{
		Conversations: int64(len(t.conversations)), Turns: ended, Failed: t.Failed, Lost: t.Lost, ToolErrors: t.ToolErrors,
		P50: durationpb.New(t.quantile(50)), P95: durationpb.New(t.quantile(95)), P99: durationpb.New(t.quantile(99)),
		TokensPerTurn: float64(t.Tokens) * each, CostPerTurnUsd: float64(t.CostMicros) / 1e6 * each,
		ThumbsUp: t.ThumbsUp, ThumbsDown: t.ThumbsDown,
	}
}

// tallyForm is how a tally is kept.
type tallyForm struct {
	counts

	Latency       string `json:"latency"`
	Conversations []byte `json:"conversations"`
}

// MarshalJSON writes the tally as it is kept.
func (t *tally) MarshalJSON() ([]byte, error) {
	latency, err := t.latency.EncodeV2()
	if err != nil {
		return nil, fmt.Errorf("encode latencies: %w", err)
	}

	form := tallyForm{counts: t.counts, Latency: string(latency)}
	for _, hash := range slices.Sorted(maps.Keys(t.conversations)) {
		form.Conversations = binary.LittleEndian.AppendUint64(form.Conversations, hash)
	}

	return json.Marshal(form) //nolint:wrapcheck // encoding/json names the type
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (t *tally) UnmarshalJSON(data []byte) error {
	var form tallyForm
	if err := json.Unmarshal(data, &form); err != nil {
		return err //nolint:wrapcheck // encoding/json names the type
	}

	latency, err := hdrhistogram.Decode([]byte(form.Latency))
	if err != nil {
		return fmt.Errorf("decode latencies: %w", err)
	}

	*t = tally{counts: form.counts, latency: latency, conversations: map[uint64]struct{}{}}
	for hashes := form.Conversations; len(hashes) >= 8; hashes = hashes[8:] {
		t.conversations[binary.LittleEndian.Uint64(hashes)] = struct{}{}
	}

	return nil
}
