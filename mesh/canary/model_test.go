package canary_test

import (
	"maps"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/serinhq/serin/mesh/canary"
)

// model is what a person would say a rollout by hand is, in a world where all goes well and at once.
type model struct {
	declared, stable, candidate, previous string
	weight                                int
	paused                                bool
	rejected                              []string
	// next are steps that were declared in the middle of a rollout: they count after it.
	steps, next []int
}

// TestModel has people command, and the world carry everything out before they command again: the outcome is what the
// model says.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w, m := newWorld(), &model{}
		for _, revision := range revisions {
			w.ready[revision] = canary.Readiness{Ready: 1}
		}

		for range rapid.IntRange(1, 30).Draw(t, "commands") {
			command := drawCommand(t)
			if command == nil {
				continue
			}

			command.Plan = usual()
			command.Plan.Steps = rapid.SampledFrom([][]int{{5, 25, 100}, {100}, {10, 90}}).Draw(t, "plan")
			command.Fence = false

			_, err := w.step(command)
			obeyed := m.obey(*command)

			for range 4 {
				w.carryOut()
				_, _ = w.step(nil) // without a command nothing is refused
			}

			if got := seenAs(w.state, m); obeyed != (err == nil) || !reflect.DeepEqual(got, *m) {
				t.Fatalf("%s: %v\ngot  %+v\nwant %+v (obeyed: %v)", command.Kind, err, got, *m, obeyed)
			}
		}
	})
}

// seenAs returns what the model would look like. The order of rejections is the model's own.
func seenAs(s canary.State, m *model) model {
	seen := model{
		declared: s.Declared, stable: s.Stable, candidate: s.Candidate, previous: s.Previous, weight: s.Weight,
		paused: s.Phase == canary.Paused, rejected: m.rejected, steps: s.Plan.Steps,
	}

	if !slices.Equal(slices.Sorted(maps.Keys(s.Rejected)), slices.Sorted(slices.Values(m.rejected))) {
		seen.rejected = slices.Sorted(maps.Keys(s.Rejected))
	}

	if s.Next != nil {
		seen.next = s.Next.Steps
	}

	return seen
}

// obey does what the command says, and reports whether it makes sense.
func (m *model) obey(c canary.Command) bool {
	switch c.Kind {
	case canary.Declare:
		m.declare(c)

		return true
	case canary.Start:
		return m.start(c)
	case canary.SetWeight:
		return m.set(c.Weight)
	case canary.Pause:
		m.paused = m.candidate != ""

		return m.paused
	case canary.Resume:
		return m.resume()
	case canary.Promote:
		return m.promote(c.Full)
	case canary.Abort:
		if m.candidate == "" {
			return false
		}

		m.rejected = append(m.rejected, m.candidate)
		m.drop()

		return true
	case canary.Undo:
		return m.undo()
	case canary.Retry:
		return m.retry()
	default:
		panic(c.Kind)
	}
}

func (m *model) declare(c canary.Command) {
	changed := c.Revision != m.declared
	m.declared = c.Revision

	switch {
	case m.stable == "":
		m.stable, m.steps = c.Revision, c.Plan.Steps
	case changed && c.Revision != m.stable && c.Revision != m.candidate && !slices.Contains(m.rejected, c.Revision):
		m.begin(c.Revision, c.Plan.Steps)
	case changed && c.Revision != m.candidate:
		m.drop()
		m.steps = c.Plan.Steps
	case m.candidate == "":
		m.steps = c.Plan.Steps
	default:
		m.next = c.Plan.Steps
	}
}

func (m *model) start(c canary.Command) bool {
	switch {
	case m.stable == "":
		m.declare(c)
	case c.Revision == m.stable || c.Revision == m.candidate || slices.Contains(m.rejected, c.Revision):
		return false
	default:
		m.begin(c.Revision, c.Plan.Steps)
	}

	return true
}

func (m *model) begin(revision string, steps []int) {
	m.candidate, m.previous, m.paused, m.steps, m.next = revision, "", false, steps, nil
	m.give(steps[0])
}

// give gives the candidate a weight; everything makes it stable.
func (m *model) give(weight int) {
	m.weight = weight
	if weight == 100 {
		m.previous, m.stable = m.stable, m.candidate
		m.drop()
	}
}

// drop ends a rollout.
func (m *model) drop() {
	m.candidate, m.weight, m.paused = "", 0, false
	if m.next != nil {
		m.steps, m.next = m.next, nil
	}
}

func (m *model) set(weight int) bool {
	if m.candidate == "" || weight < 0 || weight > 100 {
		return false
	}

	m.weight, m.paused = weight, true

	return true
}

func (m *model) resume() bool {
	if !m.paused {
		return false
	}

	m.paused = false

	if m.weight == 0 {
		m.give(m.steps[0])
	}

	return true
}

func (m *model) promote(full bool) bool {
	if m.candidate == "" {
		return false
	}

	m.paused = false

	for _, step := range m.steps {
		if step > m.weight && !full {
			m.give(step)

			return true
		}
	}

	m.give(100)

	return true
}

func (m *model) undo() bool {
	if m.candidate != "" || m.previous == "" {
		return false
	}

	m.rejected = append(m.rejected, m.stable)
	m.stable, m.previous = m.previous, ""

	return true
}

func (m *model) retry() bool {
	if m.candidate != "" || len(m.rejected) == 0 {
		return false
	}

	revision := m.rejected[len(m.rejected)-1]
	if slices.Contains(m.rejected, m.declared) {
		revision = m.declared
	}

	m.rejected = slices.DeleteFunc(m.rejected, func(r string) bool { return r == revision })
	m.begin(revision, m.steps)

	return true
}

// TestSupersede checks that to start with another revision in the middle of a rollout is to abort and to start, but that
// the one that was there is not rejected.
func TestSupersede(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := checked{T: t, world: newWorld(), pins: newPins()}

		for range rapid.IntRange(1, 30).Draw(t, "decisions") {
			c.disturb()
			c.decide(drawCommand(t))
			c.carryOut()
			c.pins.store(c.world)
		}

		if !c.state.InProgress() {
			t.Skip("no rollout to supersede")
		}

		start := &canary.Command{Kind: canary.Start, Revision: "new", Plan: drawPlan(t)}
		c.now = c.now.Add(1)
		seen := c.observe()

		at, _, _ := canary.Step(c.state, seen, nil)
		if !at.InProgress() {
			t.Skip("it was just about to end")
		}

		parts := at.Parts(*start)
		if len(parts) == 1 {
			t.Skip("the store is too far behind")
		}

		if _, _, err := canary.Step(c.state, seen, start); err == nil {
			t.Fatal("one decision took the old candidate back and began with the new one")
		}

		superseded, _, _ := canary.Step(c.state, seen, &parts[0])
		if superseded.InProgress() || superseded.Weight > 0 {
			t.Fatalf("the first part gives nothing back: %s", marshal(t, superseded))
		}

		superseded, _, _ = canary.Step(superseded, seen, &parts[1])
		aborted, _, _ := canary.Step(c.state, seen, &canary.Command{Kind: canary.Abort})
		started, _, _ := canary.Step(aborted, seen, start)

		one, two := canary.Want(superseded), canary.Want(started)
		one.Intent.Seq, two.Intent.Seq = 0, 0

		if !reflect.DeepEqual(one, two) {
			t.Fatalf("superseded:\n%+v\naborted and started:\n%+v", one, two)
		}
	})
}
