package loadtest

import (
	"encoding/json"
	"testing"
	"time"
)

func TestLatency(t *testing.T) {
	latency := Latency{}
	if latency.Count() != 0 || latency.Quantile(.5) != 0 || latency.Mean() != 0 {
		t.Error(latency)
	}

	for i := range 1000 {
		latency.add(time.Duration(i+1) * time.Millisecond)
	}

	latency.add(time.Hour) // counts as the longest there is

	data, err := json.Marshal(latency)
	if err != nil {
		t.Fatal(err)
	}

	read := Latency{}
	if err := json.Unmarshal(data, &read); err != nil {
		t.Fatal(err)
	}

	for _, latency := range []Latency{latency, read, latency.clone()} {
		for _, test := range []struct {
			q    float64
			want time.Duration
		}{{.5, 500 * time.Millisecond}, {.95, 950 * time.Millisecond}, {1, mostLatency}} {
			if got := latency.Quantile(test.q); float64((got - test.want).Abs()) > .01*float64(test.want) {
				t.Errorf("quantile %v is %s, want %s", test.q, got, test.want)
			}
		}

		if latency.Count() != 1001 {
			t.Error(latency.Count())
		}
	}

	if err := json.Unmarshal([]byte(`{"histogram":"nonsense"}`), &read); err == nil {
		t.Error("nonsense is taken")
	}
}
