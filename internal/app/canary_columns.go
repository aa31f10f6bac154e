package app

import (
	"fmt"
	"strconv"

	"google.golang.org/protobuf/types/known/durationpb"

	rolloutv1 "github.com/serinhq/serin/gen/serin/rollout/v1"
	"github.com/serinhq/serin/loadtest"
)

// column is a row of the side by side table: what it is called, and what it says of each revision.
type column struct {
	name string
	say  func(*rolloutv1.Revision) string
	// rare rows are left out where they say the same as for a revision that nothing happened to.
	rare bool
}

// columns are the rows of the side by side table.
func columns() []column {
	number := func(of func(*rolloutv1.Numbers) int64) func(*rolloutv1.Revision) string {
		return func(revision *rolloutv1.Revision) string {
			return strconv.FormatInt(of(revision.GetNumbers()), 10)
		}
	}
	quantile := func(of func(*rolloutv1.Numbers) *durationpb.Duration) func(*rolloutv1.Revision) string {
		return func(revision *rolloutv1.Revision) string {
			return latency(revision.GetNumbers(), of(revision.GetNumbers()))
		}
	}

	return []column{
		{name: "weight", say: func(r *rolloutv1.Revision) string { return fmt.Sprintf("%d%%", r.GetWeight()) }},
		{name: "processes ready", say: func(r *rolloutv1.Revision) string {
			return fmt.Sprintf("%d of %d", r.GetReadyReplicas(), r.GetReplicas())
		}},
		{name: "subset", say: (*rolloutv1.Revision).GetSlot, rare: true},
		{name: "pinned to it", say: func(r *rolloutv1.Revision) string { return strconv.FormatInt(r.GetPinnedConversations(), 10) }},
		{name: "running now", say: func(r *rolloutv1.Revision) string { return strconv.FormatInt(r.GetRunning(), 10) }},
		{name: "conversations", say: number((*rolloutv1.Numbers).GetConversations)},
		{name: "turns", say: number((*rolloutv1.Numbers).GetTurns)},
		{name: "failed", say: func(r *rolloutv1.Revision) string { return failedText(r.GetNumbers()) }},
		{name: "lost, rerun", say: number((*rolloutv1.Numbers).GetLost), rare: true},
		{name: "tool errors", say: number((*rolloutv1.Numbers).GetToolErrors), rare: true},
		{name: "p50", say: quantile((*rolloutv1.Numbers).GetP50)},
		{name: "p95", say: quantile((*rolloutv1.Numbers).GetP95)},
		{name: "p99", say: quantile((*rolloutv1.Numbers).GetP99)},
		{name: "tokens per turn", say: func(r *rolloutv1.Revision) string { return tokens(r.GetNumbers()) }},
		{name: "cost per turn", say: func(r *rolloutv1.Revision) string { return cost(r.GetNumbers()) }},
		{name: "liked, disliked", say: func(r *rolloutv1.Revision) string {
			return fmt.Sprintf("%d, %d", r.GetNumbers().GetThumbsUp(), r.GetNumbers().GetThumbsDown())
		}, rare: true},
	}
}

// sideBySide is a table with a column for each live revision.
func (p *rolloutPage) sideBySide(rollout *rolloutv1.Rollout) {
	revisions := rollout.GetRevisions()
	if len(revisions) == 0 {
		return
	}

	header, names := []string{""}, []cell{plainCell("")}
	for _, revision := range revisions {
		header = append(header, revision.GetRole())
		names = append(names, cell{revision.GetRevision(), p.paint.bold})
	}

	table := newGrid(p.paint, header...)
	table.add(names...)

	nothing := &rolloutv1.Revision{}

	for _, column := range columns() {
		row, told := []cell{{column.name, p.paint.dim}}, !column.rare

		for _, revision := range revisions {
			text := column.say(revision)
			told = told || text != column.say(nothing)
			row = append(row, cell{text, p.judged(column.name, revision)})
		}

		if told {
			table.add(row...)
		}
	}

	p.out.WriteByte('\n')
	table.write(p.out, "  ")
}

// judged is the colour of what a person should see at once.
func (p *rolloutPage) judged(name string, revision *rolloutv1.Revision) func(string) string {
	switch {
	case name == "failed" && revision.GetNumbers().GetFailed() > 0,
		name == "processes ready" && revision.GetReadyReplicas() < revision.GetReplicas():
		return p.paint.bad
	default:
		return nil
	}
}

// nothingYet stands where there is nothing to take a share or a mean of.
const nothingYet = "-"

func failedText(numbers *rolloutv1.Numbers) string {
	if numbers.GetFailed() == 0 {
		return failedShare(numbers)
	}

	return fmt.Sprintf("%s (%d)", failedShare(numbers), numbers.GetFailed())
}

func failedShare(numbers *rolloutv1.Numbers) string {
	if numbers.GetTurns() == 0 {
		return nothingYet
	}

	return fmt.Sprintf("%.1f%%", 100*float64(numbers.GetFailed())/float64(numbers.GetTurns()))
}

func latency(numbers *rolloutv1.Numbers, of *durationpb.Duration) string {
	if numbers.GetTurns() == 0 || of == nil {
		return nothingYet
	}

	return loadtest.Rounded(of.AsDuration()).String()
}

func tokens(numbers *rolloutv1.Numbers) string {
	if numbers.GetTurns() == 0 {
		return nothingYet
	}

	return fmt.Sprintf("%.0f", numbers.GetTokensPerTurn())
}

func cost(numbers *rolloutv1.Numbers) string {
	if numbers.GetCostPerTurnUsd() == 0 {
		return nothingYet
	}

	return dollars(numbers.GetCostPerTurnUsd())
}
