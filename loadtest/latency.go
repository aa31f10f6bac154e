package loadtest

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Latency is a distribution of durations from 1 µs to 10 min, within 1%. The zero value is empty.
type Latency struct { //nolint:recvcheck // only add and reading JSON change their receiver
	histogram *hdrhistogram.Histogram
}

const (
	leastLatency = time.Microsecond
	mostLatency  = 10 * time.Minute
)

// add records a duration; one beyond the range counts as its end.
func (l *Latency) add(took time.Duration) {
	if l.histogram == nil {
		l.histogram = hdrhistogram.New(int64(leastLatency/time.Microsecond), int64(mostLatency/time.Microsecond), 2)
	}

	// It can only fail beyond the range.
	_ = l.histogram.RecordValue(int64(min(max(took, leastLatency), mostLatency) / time.Microsecond))
}

func (l Latency) clone() Latency {
	if l.histogram == nil {
		return Latency{}
	}

	return Latency{l.histogram.Clone()}
}

// Count returns how many there are.
func (l Latency) Count() int64 {
	if l.histogram == nil {
		return 0
	}

	return l.histogram.TotalCount()
}

// Quantile returns the duration that the share q, from 0 to 1, does not exceed; 0 if there are none.
func (l Latency) Quantile(q float64) time.Duration {
	if l.Count() == 0 {
		return 0
	}

	return time.Duration(l.histogram.ValueAtQuantile(100*q)) * time.Microsecond
}

// Mean returns the mean; 0 if there are none.
func (l Latency) Mean() time.Duration {
	if l.Count() == 0 {
		return 0
	}

	return time.Duration(l.histogram.Mean() * float64(time.Microsecond))
}

// Max returns the longest.
func (l Latency) Max() time.Duration { return l.Quantile(1) }

func (l Latency) String() string {
	return fmt.Sprintf("p50 %s p95 %s p99 %s max %s (%d)",
		short(l.Quantile(.5)), short(l.Quantile(.95)), short(l.Quantile(.99)), short(l.Max()), l.Count())
}

// latencyJSON is a distribution in milliseconds, and as HdrHistogram's V2 encoding in microseconds.
type latencyJSON struct {
	Count     int64   `json:"count"`
	Mean      float64 `json:"meanMs"`
	P50       float64 `json:"p50Ms"`
	P90       float64 `json:"p90Ms"`
	P95       float64 `json:"p95Ms"`
	P99       float64 `json:"p99Ms"`
	P999      float64 `json:"p999Ms"`
	Max       float64 `json:"maxMs"`
	Histogram string  `json:"histogram,omitempty"`
}

// MarshalJSON writes the usual quantiles in milliseconds, and the whole histogram.
func (l Latency) MarshalJSON() ([]byte, error) {
	shown := latencyJSON{
		Count: l.Count(), Mean: milliseconds(l.Mean()), P50: milliseconds(l.Quantile(.5)), P90: milliseconds(l.Quantile(.9)),
		P95: milliseconds(l.Quantile(.95)), P99: milliseconds(l.Quantile(.99)), P999: milliseconds(l.Quantile(.999)),
		Max: milliseconds(l.Max()),
	}

	if l.Count() > 0 {
		encoded, err := l.histogram.Encode(hdrhistogram.V2CompressedEncodingCookieBase)
		if err != nil {
			return nil, fmt.Errorf("encode latencies: %w", err)
		}

		shown.Histogram = string(encoded)
	}

	return json.Marshal(shown) //nolint:wrapcheck // it is plain numbers
}

// UnmarshalJSON reads what [Latency.MarshalJSON] writes.
func (l *Latency) UnmarshalJSON(data []byte) error {
	shown := latencyJSON{}
	if err := json.Unmarshal(data, &shown); err != nil {
		return fmt.Errorf("read latencies: %w", err)
	}

	l.histogram = nil

	if shown.Histogram == "" {
		return nil
	}

	decoded, err := hdrhistogram.Decode([]byte(shown.Histogram))
	if err != nil {
		return fmt.Errorf("read latencies: %w", err)
	}

	l.histogram = decoded

	return nil
}

func milliseconds(took time.Duration) float64 { return float64(took) / float64(time.Millisecond) }

// Rounded leaves three digits of a duration, as people read it.
func Rounded(took time.Duration) time.Duration {
	switch {
	case took >= 10*time.Second:
		return took.Round(100 * time.Millisecond)
	case took >= time.Second:
		return took.Round(10 * time.Millisecond)
	case took >= 10*time.Millisecond:
		return took.Round(100 * time.Microsecond)
	default:
		return took.Round(10 * time.Microsecond)
	}
}

// short writes a duration with three digits.
func short(took time.Duration) string { return Rounded(took).String() }
