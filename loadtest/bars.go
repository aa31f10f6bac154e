package loadtest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/serinhq/serin/internal/fault"
)

// Bar is the most that a measure of a report may be.
type Bar struct {
	// Name is one of [BarNames], or failed.REASON.
	Name string `json:"name"`
	// Most is a count, or milliseconds where the measure is a time.
	Most float64 `json:"most"`
}

// Judged is a bar and what was measured.
type Judged struct {
	Bar

	Value float64 `json:"value"`
	// Missing says that there was nothing to measure; the bar is not met then.
	Missing bool `json:"missing,omitempty"`
	Met     bool `json:"met"`
	// Unit is ms, or empty for counts.
	Unit string `json:"unit,omitempty"`
}

// measure is something of a report that can have a bar.
type measure struct {
	name  string
	what  string
	timed bool
	value func(r *Report) float64
	// samples is how much there was to measure.
	samples func(r *Report) int64
}

func counted(name, what string, count func(r *Report) int) measure {
	return measure{name, what, false, func(r *Report) float64 { return float64(count(r)) }, (*Report).attempts}
}

func timed(name, what string, of func(r *Report) Latency, q float64) measure {
	return measure{
		name, what, true, func(r *Report) float64 { return milliseconds(of(r).Quantile(q)) },
		func(r *Report) int64 { return of(r).Count() },
	}
}

// attempts are conversations and turns: without any, a count of nothing bad says nothing.
func (r *Report) attempts() int64 { return int64(r.Turns.Sent + r.Conversations.Refused) }

func measures() []measure {
	return []measure{
		counted("failed", "failed turns", func(r *Report) int { return r.Turns.Failed }),
		counted("platform-failed", "failed turns but those with "+ProviderError, func(r *Report) int {
			return r.Turns.FailedExcept(ProviderError)
		}),
		counted("flips", "flips of a revision within a conversation", func(r *Report) int { return r.Flips }),
		counted("lost", "lost events", func(r *Report) int { return r.Lost }),
		counted("doubled", "doubled events", func(r *Report) int { return r.Doubled }),
		counted("refused", "conversations that were refused", func(r *Report) int { return r.Conversations.Refused }),
		counted("retries", "streams that were opened again", func(r *Report) int { return r.Turns.Retries }),
		{
			"share", "shares that chance does not explain", false,
			func(r *Report) float64 { return float64(r.oddShares()) }, func(r *Report) int64 { return int64(len(r.Shares)) },
		},
		timed("p50", "median latency of turns", turnLatency, .5),
		timed("p95", "95th percentile of it", turnLatency, .95),
		timed("p99", "99th percentile of it", turnLatency, .99),
		timed("max", "longest turn", turnLatency, 1),
		timed("first-text", "99th percentile of the time to the first text", func(r *Report) Latency { return r.FirstText }, .99),
		timed("abort-p50", "median time from an abort to the last new turn", (*Report).AbortLatency, .5),
		timed("abort-p99", "99th percentile of it", (*Report).AbortLatency, .99),
	}
}

func turnLatency(r *Report) Latency { return r.Latency }

// BarNames returns the measures that can have a bar, each with what it is.
func BarNames() [][2]string {
	names := [][2]string{}
	for _, measure := range measures() {
		names = append(names, [2]string{measure.name, measure.what})
	}

	return append(names, [2]string{"failed.REASON", "turns that failed with this reason"})
}

func findMeasure(name string) (measure, bool) {
	if reason, found := strings.CutPrefix(name, "failed."); found && reason != "" {
		return counted(name, "", func(r *Report) int { return r.Turns.FailedBy[reason] }), true
	}

	all := measures()
	at := slices.IndexFunc(all, func(measure measure) bool { return measure.name == name })

	if at < 0 {
		return measure{}, false
	}

	return all[at], true
}

// DefaultBars are what every load should meet: no turn fails because of the platform, and no conversation sees anything
// that it must not.
func DefaultBars() []Bar {
	return []Bar{{"platform-failed", 0}, {"refused", 0}, {"flips", 0}, {"lost", 0}, {"doubled", 0}}
}

// ParseBar reads a bar such as failed=0 or p99=500ms.
func ParseBar(text string) (Bar, error) {
	name, value, _ := strings.Cut(text, "=")
	measure, known := findMeasure(name)

	names := make([]string, 0, len(BarNames()))
	for _, known := range BarNames() {
		names = append(names, known[0])
	}

	if !known {
		return Bar{}, badBar("%q measures nothing known; want NAME=MOST with a name of %s", text, strings.Join(names, ", "))
	}

	if !measure.timed {
		most, err := strconv.ParseUint(value, 10, 31)
		if err != nil {
			return Bar{}, badBar("%q: want a count, such as %s=0", text, name)
		}

		return Bar{name, float64(most)}, nil
	}

	most, err := time.ParseDuration(value)
	if err != nil || most < 0 {
		return Bar{}, badBar("%q: want a time, such as %s=500ms", text, name)
	}

	return Bar{name, milliseconds(most)}, nil
}

func badBar(format string, args ...any) error {
	return fault.Invalid(fault.Violation{Field: "bar", Message: fmt.Sprintf(format, args...)})
}

// WithBars returns the bars, where later ones replace earlier ones of the same name.
func WithBars(bars []Bar, others ...Bar) []Bar {
	all := slices.Clone(bars)

	for _, other := range others {
		at := slices.IndexFunc(all, func(bar Bar) bool { return bar.Name == other.Name })
		if at < 0 {
			all = append(all, other)
		} else {
			all[at] = other
		}
	}

	return all
}

// Judge measures the report against the bars, notes what it found in it, and returns whether all were met. A bar whose
// name is not known is not met.
func (r *Report) Judge(bars ...Bar) bool {
	r.Bars = []Judged{}
	met := true

	for _, bar := range bars {
		judged := Judged{Bar: bar}

		if measure, known := findMeasure(bar.Name); known {
			judged.Value, judged.Missing = measure.value(r), measure.samples(r) == 0
			judged.Met = !judged.Missing && judged.Value <= bar.Most

			if measure.timed {
				judged.Unit = "ms"
			}
		}

		met = met && judged.Met
		r.Bars = append(r.Bars, judged)
	}

	return met
}

func (j Judged) String() string {
	return fmt.Sprintf("%s %s, at most %s", j.Name, j.Measured(), j.Limit())
}

// Measured is the value with its unit.
func (j Judged) Measured() string {
	if j.Missing {
		return "not measured"
	}

	return j.number(j.Value)
}

// Limit is the bar with its unit.
func (j Judged) Limit() string { return j.number(j.Most) }

func (j Judged) number(value float64) string {
	if j.Unit == "" {
		return strconv.FormatFloat(value, 'f', -1, 64)
	}

	return short(time.Duration(value * float64(time.Millisecond)))
}

func (r *Report) oddShares() int {
	odd := 0

	for _, share := range r.Shares {
		if !share.Inside {
			odd++
		}
	}

	return odd
}

// AbortLatency returns the times from an abort to the last new turn.
func (r *Report) AbortLatency() Latency {
	took := Latency{}
	for _, abort := range r.Aborts {
		took.add(abort.Last)
	}

	return took
}
