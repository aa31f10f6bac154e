package loadtest

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

func arrivals(scenario Scenario, most int) []time.Duration {
	due := newSchedule(scenario.withDefaults(), rand.New(rand.NewPCG(1, 2)))
	all := []time.Duration{}

	for len(all) < most {
		offset, more := due.next()
		if !more {
			break
		}

		all = append(all, offset)
	}

	return all
}

func uniform(scenario Scenario) Scenario {
	scenario.Arrivals = Uniform

	return scenario
}

func near(got, want time.Duration) bool { return (got - want).Abs() < time.Microsecond }

func TestUniformArrivals(t *testing.T) {
	steady := arrivals(uniform(Steady(10, 2*time.Second)), 100)
	if len(steady) != 20 || steady[0] != 0 || !near(steady[7], 700*time.Millisecond) {
		t.Error(steady)
	}

	// From 0 to 10 per second within 10 s, the n-th comes when half of t squared is n.
	ramp := arrivals(uniform(Ramp(0, 10, 10*time.Second)), 100)
	if len(ramp) != 50 || !near(ramp[8], 4*time.Second) || !near(ramp[32], 8*time.Second) {
		t.Error(ramp)
	}

	down := arrivals(uniform(Ramp(10, 0, 10*time.Second)), 100)
	if len(down) != 50 || !near(down[42], 6*time.Second) {
		t.Error(down)
	}

	spike := arrivals(uniform(Spike(1, 100, 10*time.Second)), 1000)
	if len(spike) != 4+200+4 || !near(spike[4], 4*time.Second) || !near(spike[203], 5990*time.Millisecond) {
		t.Error(len(spike), spike)
	}
}

func TestArrivalsEnd(t *testing.T) {
	limited := Steady(10, time.Second)
	limited.Conversations = 3

	for _, test := range []struct {
		scenario Scenario
		want     int
	}{
		{limited, 3},
		{Steady(0, time.Second), 0},
		{Steady(0, 0), 0},
		{Steady(5, 0), 1000},
		{Scenario{Stages: []Stage{{time.Second, 0, 0}, {0, 3, 3}}}, 1000},
	} {
		if got := len(arrivals(test.scenario, 1000)); got != test.want {
			t.Errorf("%+v: %d arrivals, want %d", test.scenario, got, test.want)
		}
	}
}

// The distances of Poisson arrivals have the mean and the deviation of an exponential distribution; the numbers of a
// ramp's halves are as 1 to 3.
func TestPoissonArrivals(t *testing.T) {
	const n = 20_000

	all := arrivals(Steady(100, 0), n)
	mean := all[n-1].Seconds() / (n - 1)
	variance := 0.0

	for i := range n - 1 {
		off := (all[i+1] - all[i]).Seconds() - mean
		variance += off * off / (n - 2)
	}

	if math.Abs(mean*100-1) > .03 || math.Abs(math.Sqrt(variance)*100-1) > .05 {
		t.Errorf("mean %v, deviation %v", mean, math.Sqrt(variance))
	}

	late, ramp := 0, arrivals(Ramp(0, 2000, 20*time.Second), 1<<20)
	for _, offset := range ramp {
		if offset > 10*time.Second {
			late++
		}
	}

	if share := float64(late) / float64(len(ramp)); math.Abs(share-.75) > .02 || math.Abs(float64(len(ramp))/20_000-1) > .03 {
		t.Errorf("%v of %d in the second half", share, len(ramp))
	}
}

func TestScenarioDuration(t *testing.T) {
	if got := Spike(1, 2, 7*time.Second).Duration(); got != 7*time.Second {
		t.Error(got)
	}

	if got := Steady(1, 0).Duration(); got != 0 {
		t.Error(got)
	}
}
