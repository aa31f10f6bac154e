package loadtest

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"time"
)

// maxViolations is how many violations are told in words.
const maxViolations = 100

// record is what all users saw until now.
type record struct {
	started time.Time

	mu        sync.Mutex
	total     Report
	done      bool
	joined    map[string]int
	revisions map[name]*Revision
	moments   moments
	measures  []func(*Report)
	changed   chan struct{}
}

func newRecord(now time.Time) *record {
	return &record{
		started: now, joined: map[string]int{}, revisions: map[name]*Revision{}, changed: make(chan struct{}),
		moments: moments{begun: now, known: map[name]int32{}},
		total:   Report{Started: now, Turns: Turns{FailedBy: map[string]int{}}},
	}
}

// update changes what is recorded, and wakes who waits for it.
func (r *record) update(change func(total *Report)) {
	r.mu.Lock()
	defer r.mu.Unlock()

	change(&r.total)
	close(r.changed)
	r.changed = make(chan struct{})
}

func (r *record) opened(intended time.Time, late time.Duration) {
	r.update(func(total *Report) {
		total.Conversations.Started++
		total.Lateness.add(late)
		r.moments.opened = append(r.moments.opened, r.moments.at(intended))
	})
}

// closed notes the end of a conversation.
func (r *record) closed(found []Violation, end ending) {
	r.update(func(total *Report) {
		r.violate(found)

		switch end {
		case finished:
			total.Conversations.Finished++
		case refused:
			total.Conversations.Refused++
		case abandoned:
			total.Conversations.Abandoned++
		}
	})
}

func (r *record) mark(mark Mark) {
	r.update(func(total *Report) { total.Marks = append(total.Marks, mark) })
}

// measure has every report measured: turns that run now are a part of later ones.
func (r *record) measure(what func(*Report)) {
	r.update(func(*Report) { r.measures = append(r.measures, what) })
}

func (r *record) end(now time.Time) {
	r.update(func(total *Report) {
		r.done = true
		total.Took = now.Sub(r.started)
	})
}

// turn notes a turn that ended, or was abandoned.
func (r *record) turn(turn *turn) {
	r.update(func(total *Report) {
		turns := &total.Turns
		turns.Sent++
		turns.Retries += turn.retries
		turns.Approvals += turn.approvals
		total.Changes += turn.seen.changes
		total.Restarts += turn.seen.restarts

		switch turn.state {
		case completed:
			turns.Completed++
			total.Latency.add(turn.took())

			if !turn.firstText.IsZero() {
				total.FirstText.add(turn.firstText.Sub(turn.intended))
			}
		case cancelled:
			turns.Cancelled++
		case failed:
			turns.Failed++
			turns.FailedBy[turn.reason]++
		case unended, waiting:
			turns.Abandoned++
		}

		r.violate(turn.seen.violations)
		r.segments(turn)

		if turn.state != unended {
			r.moments.turns = append(r.moments.turns, ended{r.moments.at(turn.ended), turn.took(), turn.state == failed})
		}
	})
}

// violate counts violations, and keeps the first in words.
func (r *record) violate(found []Violation) {
	for _, violation := range found {
		switch violation.Kind {
		case kindFlip:
			r.total.Flips++
		case kindLost:
			r.total.Lost++
		case kindDoubled:
			r.total.Doubled++
		}

		if len(r.total.Violations) < maxViolations {
			r.total.Violations = append(r.total.Violations, violation)
		}
	}
}

// segments notes what the turn did to revisions.
func (r *record) segments(turn *turn) {
	for _, joined := range turn.seen.joins {
		r.revision(joined.name).Joined++
		r.joined[joined.agent]++
		r.moments.joins = append(r.moments.joins, moment{r.moments.at(joined.at), r.moments.which(joined.name)})
	}

	for _, moved := range turn.seen.moves {
		r.revision(moved.name).Moved++
	}

	for _, met := range turn.seen.met {
		r.revision(met).Conversations++
	}

	took := map[name]bool{}

	for _, segment := range turn.seen.segments {
		r.segment(r.revision(segment.name), segment)
		took[segment.name] = true
	}

	for of := range took {
		if turn.state == completed {
			r.revision(of).TurnLatency.add(turn.took())
		}
	}
}

func (r *record) segment(revision *Revision, segment segment) {
	if !segment.began.IsZero() {
		r.moments.starts = append(r.moments.starts, moment{r.moments.at(segment.began), r.moments.which(segment.name)})
		revision.Segments++

		if revision.FirstStart.IsZero() || segment.began.Before(revision.FirstStart) {
			revision.FirstStart = segment.began
		}

		if segment.began.After(revision.LastStart) {
			revision.LastStart = segment.began
		}
	}

	switch {
	case segment.lost:
		revision.Lost++
	case segment.failed != "":
		revision.Failed++
		revision.FailedBy[segment.failed]++
	case !segment.began.IsZero() && !segment.ended.IsZero():
		revision.Latency.add(segment.ended.Sub(segment.began))
	}
}

func (r *record) revision(of name) *Revision {
	known := r.revisions[of]
	if known == nil {
		known = &Revision{Agent: of.agent, Revision: of.revision, FailedBy: map[string]int{}}
		r.revisions[of] = known
	}

	return known
}

// counts returns the counts, and what is closed when they change.
func (r *record) counts() (Counts, <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()

	return r.countsNow(), r.changed
}

func (r *record) countsNow() Counts {
	met, turns := r.total.Conversations, r.total.Turns

	return Counts{
		Started: met.Started, Finished: met.Finished, Open: met.Started - met.Finished - met.Refused - met.Abandoned,
		Turns: turns.Completed + turns.Failed + turns.Cancelled, Failed: turns.Failed,
		Flips: r.total.Flips, Lost: r.total.Lost, Doubled: r.total.Doubled, Joined: maps.Clone(r.joined),
	}
}

// progress tells how it goes since so many turns had ended, and how many have now.
func (r *record) progress(now time.Time, before int) (shown Progress, turns int) {
	r.mu.Lock()
	defer r.mu.Unlock()

	recent := slices.Clone(r.moments.turns[before:])
	slices.SortFunc(recent, func(a, b ended) int { return cmp.Compare(a.took, b.took) })

	shown = Progress{
		Counts: r.countsNow(), Elapsed: now.Sub(r.started),
		TurnsPerSecond: float64(len(recent)) / progressEvery.Seconds(), P50: quantile(recent, .5), P99: quantile(recent, .99),
	}

	return shown, len(r.moments.turns)
}

// quantile of turns that are sorted by how long they took.
func quantile(sorted []ended, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}

	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)].took
}

// report returns a report of its own, which does not change any more.
func (r *record) report(cfg Config, now time.Time) *Report {
	r.mu.Lock()
	defer r.mu.Unlock()

	made := r.total
	made.Scenario, made.Seed = cfg.Scenario, cfg.Seed
	made.Turns.FailedBy = maps.Clone(r.total.Turns.FailedBy)
	made.Violations = slices.Clone(r.total.Violations)
	made.Marks = slices.Clone(made.Marks)
	made.Latency, made.FirstText, made.Lateness = made.Latency.clone(), made.FirstText.clone(), made.Lateness.clone()
	made.Revisions = r.revisionsNow()
	made.moments = r.moments.clone()

	if !r.done {
		made.Took = now.Sub(r.started)
	}

	made.Series = made.moments.series(made.Took)

	for _, measure := range r.measures {
		measure(&made)
	}

	return &made
}

func (r *record) revisionsNow() []Revision {
	all := make([]Revision, 0, len(r.revisions))

	for _, known := range r.revisions {
		copied := *known
		copied.FailedBy = maps.Clone(known.FailedBy)
		copied.Latency, copied.TurnLatency = known.Latency.clone(), known.TurnLatency.clone()
		all = append(all, copied)
	}

	slices.SortFunc(all, func(a, b Revision) int {
		return cmp.Or(cmp.Compare(a.Agent, b.Agent), cmp.Compare(b.Conversations, a.Conversations), cmp.Compare(a.Revision, b.Revision))
	})

	return all
}
