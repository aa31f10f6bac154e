package loadtest

import (
	"cmp"
	"slices"
	"time"
)

// Series is what happened over time, in steps of equal width.
type Series struct {
	// Step is the width of a point.
	Step time.Duration `json:"stepNs"`
	// Points begin with the load.
	Points []Point `json:"points"`
}

// Point is one step of a series.
type Point struct {
	// Opened are conversations that should have begun in it; Turns ended in it, Failed of them badly.
	Opened int `json:"opened"`
	Turns  int `json:"turns"`
	Failed int `json:"failed"`
	// P50, P95 and P99 are of the turns that ended in it.
	P50 time.Duration `json:"p50Ns"`
	P95 time.Duration `json:"p95Ns"`
	P99 time.Duration `json:"p99Ns"`
	// Joined are first pins by agent and revision, Started segments.
	Joined  map[string]map[string]int `json:"joined,omitempty"`
	Started map[string]map[string]int `json:"started,omitempty"`
}

const mostPoints = 240

// series sorts the moments into steps: as narrow as a quarter of a second, as wide as it takes for not too many.
func (m *moments) series(took time.Duration) Series {
	step := 250 * time.Millisecond
	for took/step >= mostPoints {
		step *= 2
	}

	made := Series{Step: step, Points: make([]Point, took/step+1)}
	byPoint := make([][]ended, len(made.Points))

	at := func(when time.Duration) int { return min(max(int(when/step), 0), len(made.Points)-1) }

	for _, opened := range m.opened {
		made.Points[at(opened)].Opened++
	}

	for _, turn := range m.turns {
		byPoint[at(turn.at)] = append(byPoint[at(turn.at)], turn)
	}

	for i, turns := range byPoint {
		made.Points[i].sum(turns)
	}

	for _, join := range m.joins {
		tally(&made.Points[at(join.at)].Joined, m.names[join.which])
	}

	for _, start := range m.starts {
		tally(&made.Points[at(start.at)].Started, m.names[start.which])
	}

	return made
}

func (p *Point) sum(turns []ended) {
	slices.SortFunc(turns, func(a, b ended) int { return cmp.Compare(a.took, b.took) })
	p.Turns, p.P50, p.P95, p.P99 = len(turns), quantile(turns, .5), quantile(turns, .95), quantile(turns, .99)

	for _, turn := range turns {
		if turn.failed {
			p.Failed++
		}
	}
}

func tally(counts *map[string]map[string]int, of name) {
	if *counts == nil {
		*counts = map[string]map[string]int{}
	}

	if (*counts)[of.agent] == nil {
		(*counts)[of.agent] = map[string]int{}
	}

	(*counts)[of.agent][of.revision]++
}
