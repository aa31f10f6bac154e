package loadtest

import (
	"maps"
	"math"
	"time"
)

// plots are the diagrams of a report.
func (r *Report) plots() []drawn {
	made := []drawn{r.latencyPlot().draw(), r.ratePlot().draw()}

	for _, agent := range r.agents() {
		if len(agent.revisions) > 1 {
			made = append(made, r.sharePlot(agent).draw(), r.startsPlot(agent).draw())
		}
	}

	return append(made, r.quantilePlot().draw())
}

// agentRevisions are the revisions of one agent that were seen.
type agentRevisions struct {
	agent     string
	revisions []string
}

func (r *Report) agents() []agentRevisions {
	agents := []agentRevisions{}

	for _, revision := range r.Revisions {
		if last := len(agents) - 1; last < 0 || agents[last].agent != revision.Agent {
			agents = append(agents, agentRevisions{agent: revision.Agent})
		}

		last := &agents[len(agents)-1]
		last.revisions = append(last.revisions, revision.Revision)
	}

	return agents
}

// overTime is a plot whose x axis is the load's time.
func (r *Report) overTime(title string, y func(float64) string, lines ...line) plot {
	made := plot{
		title: title, lines: lines, right: r.Took.Seconds(), marks: r.Marks, begun: r.Started, x: inSeconds, y: y,
	}

	for _, line := range lines {
		for _, point := range line.points {
			if !math.IsNaN(point[1]) {
				made.top = max(made.top, point[1])
			}
		}
	}

	return made
}

// line makes one value of each point of the series; NaN is a gap.
func (r *Report) line(name string, value func(Point) float64) line {
	made := line{name: name}
	step := r.Series.Step.Seconds()

	for i, point := range r.Series.Points {
		made.points = append(made.points, [2]float64{(float64(i) + .5) * step, value(point)})
	}

	return made
}

func (r *Report) latencyPlot() plot {
	quantile := func(of func(Point) time.Duration) func(Point) float64 {
		return func(point Point) float64 {
			if point.Turns == 0 {
				return math.NaN()
			}

			return milliseconds(of(point))
		}
	}

	return r.overTime("Latency of turns", inMilliseconds,
		r.line("p50", quantile(func(p Point) time.Duration { return p.P50 })),
		r.line("p95", quantile(func(p Point) time.Duration { return p.P95 })),
		r.line("p99", quantile(func(p Point) time.Duration { return p.P99 })))
}

func (r *Report) ratePlot() plot {
	step := r.Series.Step.Seconds()

	return r.overTime("Per second", plainly,
		r.line("turns", func(p Point) float64 { return float64(p.Turns) / step }),
		r.line("new conversations", func(p Point) float64 { return float64(p.Opened) / step }),
		r.line("failed turns", func(p Point) float64 { return float64(p.Failed) / step }))
}

// shareWindow is the time over which shares are plotted: within a single step there are too few conversations.
const shareWindow = 2 * time.Second

func (r *Report) sharePlot(agent agentRevisions) plot {
	steps := max(int(shareWindow/r.Series.Step), 1)
	lines := make([]line, 0, len(agent.revisions))

	for _, revision := range agent.revisions {
		share := line{name: revision}

		for i := range r.Series.Points {
			window := r.Series.Points[max(i-steps+1, 0) : i+1]
			at := float64(i+1) * r.Series.Step.Seconds()
			share.points = append(share.points, [2]float64{min(at, r.Took.Seconds()), percentage(window, agent.agent, revision)})
		}

		lines = append(lines, share)
	}

	made := r.overTime("New conversations of "+agent.agent+" by revision, over "+max(shareWindow, r.Series.Step).String()+" each", inPercent, lines...)
	made.top, made.ceiling = 100, true

	return made
}

// percentage is how many of the agent's first pins are of the revision; NaN if there are none.
func percentage(points []Point, agent, revision string) float64 {
	all, got := 0, 0

	for _, point := range points {
		got += point.Joined[agent][revision]
		for count := range maps.Values(point.Joined[agent]) {
			all += count
		}
	}

	if all == 0 {
		return math.NaN()
	}

	return 100 * float64(got) / float64(all)
}

func (r *Report) startsPlot(agent agentRevisions) plot {
	lines := make([]line, 0, len(agent.revisions))

	for _, revision := range agent.revisions {
		lines = append(lines, r.line(revision, func(p Point) float64 {
			return float64(p.Started[agent.agent][revision]) / r.Series.Step.Seconds()
		}))
	}

	return r.overTime("Segments of "+agent.agent+" per second, by revision", plainly, lines...)
}

// quantilePlot shows each revision's latency by quantile, where each 9 takes as much room as the one before.
func (r *Report) quantilePlot() plot {
	const most = 4 // nines

	made := plot{
		title: "Latency of segments by quantile", right: most, y: inMilliseconds, ticks: []float64{0, 1, 2, 3, 4},
		x: func(nines float64) string { return inPercent(100 * (1 - math.Pow(10, -nines))) },
	}

	for _, revision := range r.Revisions {
		line := line{name: revision.Agent + " " + revision.Revision}

		for tenths := range 10*most + 1 {
			nines := float64(tenths) / 10
			rest := math.Pow(10, -nines)

			if rest*float64(revision.Latency.Count()) < 1 {
				break // there are not so many segments
			}

			took := milliseconds(revision.Latency.Quantile(1 - rest))
			line.points = append(line.points, [2]float64{nines, took})
			made.top = max(made.top, took)
		}

		made.lines = append(made.lines, line)
	}

	return made
}
