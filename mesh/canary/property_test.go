package canary_test

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/serinhq/serin/mesh/canary"
)

var revisions = []string{"a", "b", "c", "d", "e", "f"}

// TestProperties plays random stories and checks after each decision what must always hold.
func TestProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := checked{T: t, world: newWorld(), pins: newPins()}

		for range rapid.IntRange(1, 60).Draw(t, "decisions") {
			c.disturb()
			c.decide(drawCommand(t))
			c.carryOut()
			c.pins.store(c.world)
			c.crash()
		}

		c.settles()
	})
}

// crash loses the decision to abort, to take the candidate back for another, or to begin, before it is saved, after the
// mesh took it: nothing may undo that, and what was to begin is not in the way of beginning again.
func (c *checked) crash() {
	carried := c.mesh != nil && c.mesh.Seq == c.state.Seq
	aborts := c.state.Phase == canary.Aborting && c.before.Phase != canary.Aborting
	begins := c.state.InProgress() && !c.before.InProgress() && len(c.state.Withdrawals) == 0 // the store knows of none

	if !carried || !aborts && !begins || !rapid.Bool().Draw(c.T, "crash") {
		return
	}

	lost := c.state
	c.state, c.meshUnknown = c.before, false
	c.decide(nil)

	if begins {
		if c.state.Stable != lost.Stable || c.state.InProgress() || c.state.Weight > 0 {
			c.Fatalf("a restart made something of a beginning:\n%s\n%s", marshal(c.T, lost), marshal(c.T, c.state))
		}

		return
	}

	if c.state.Stable != lost.Stable || c.state.Candidate != "" || c.state.Seq <= lost.Seq {
		c.Fatalf("an abort was undone by a restart:\n%s\n%s", marshal(c.T, lost), marshal(c.T, c.state))
	}
}

// checked is a world in which every decision is checked.
type checked struct {
	*rapid.T
	*world

	pins *pins
}

// drawCommand draws what someone wants; most of the time nobody wants anything.
func drawCommand(t *rapid.T) *canary.Command {
	kinds := []canary.Kind{
		"", "", "", "", "", canary.Declare, canary.Declare, canary.Start, canary.SetWeight, canary.Pause, canary.Resume,
		canary.Promote, canary.Promote, canary.Abort, canary.Undo, canary.Retry,
	}

	kind := rapid.SampledFrom(kinds).Draw(t, "command")
	if kind == "" {
		return nil
	}

	return &canary.Command{
		Kind:     kind,
		Revision: rapid.SampledFrom(revisions).Draw(t, "revision"),
		Plan:     drawPlan(t),
		Weight:   rapid.IntRange(-1, 101).Draw(t, "weight"),
		Full:     rapid.Bool().Draw(t, "full"),
		Fence:    rapid.Bool().Draw(t, "fence"),
	}
}

func drawPlan(t *rapid.T) canary.Plan {
	plan := usual()
	plan.Steps = rapid.SampledFrom([][]int{{5, 25, 50, 100}, {100}, {1}, {10, 90}}).Draw(t, "steps")
	plan.Automatic = rapid.Bool().Draw(t, "automatic")
	plan.Pause = rapid.SampledFrom([]time.Duration{0, time.Minute}).Draw(t, "pause")
	plan.UndoWindow = rapid.SampledFrom([]time.Duration{0, time.Minute}).Draw(t, "undo")

	return plan
}

// disturb changes the world: time passes, processes come and go, the mesh, the store and the engine fail.
func (c *checked) disturb() {
	c.now = c.now.Add(rapid.SampledFrom([]time.Duration{0, time.Second, 3 * time.Second, time.Minute, 25 * time.Hour}).
		Draw(c.T, "passes"))

	c.ready = map[string]canary.Readiness{}
	for _, revision := range revisions {
		c.ready[revision] = canary.Readiness{
			Ready: rapid.SampledFrom([]int{1, 1, 4, 2, 0}).Draw(c.T, "ready"), Size: rapid.SampledFrom([]int{0, 1, 4}).Draw(c.T, "size"),
		}
		c.evidence[revision] = rapid.SampledFrom([]canary.Evidence{
			{}, {Turns: 50}, {Turns: 50, Failed: 50}, {Turns: 50, P99: time.Hour},
		}).Draw(c.T, "evidence")
		c.use[revision] = canary.Use{Running: rapid.Int64Range(0, 1).Draw(c.T, "running"), LastActive: c.now.Add(-time.Hour)}
	}

	if rapid.IntRange(0, 9).Draw(c.T, "unknown") == 0 {
		c.ready = nil
	}

	c.meshStops = rapid.IntRange(0, 3).Draw(c.T, "mesh stops") == 0
	c.meshUnknown = rapid.IntRange(0, 9).Draw(c.T, "mesh unknown") == 0
	c.storeStops = rapid.IntRange(0, 3).Draw(c.T, "store stops") == 0
}

// decide decides on each part of a command.
func (c *checked) decide(command *canary.Command) {
	c.now = c.now.Add(time.Second)

	if command == nil {
		c.decideOn(nil)

		return
	}

	for i, part := range c.state.Parts(*command) {
		if i > 0 {
			c.carryOut()
			c.pins.store(c.world)
			c.crash()
		}

		c.decideOn(&part)
	}
}

// decideOn steps, and checks everything that a single decision must keep to.
func (c *checked) decideOn(command *canary.Command) {
	before, seen := c.state, c.observe()
	image := marshal(c.T, before)

	after, events, err := canary.Step(before, seen, command)

	if marshal(c.T, before) != image {
		c.Fatalf("the state that was given was changed:\n%s\n%s", image, marshal(c.T, before))
	}

	if err != nil && command == nil {
		c.Fatalf("refused without a command: %v", err)
	}

	if err != nil {
		c.sameAs(before, seen, after, "a refused command changed something")
	}

	c.sameAs(after, seen, after, "deciding again changed something")
	c.reloads(before, seen, command, after)
	c.counts(before, after, events)
	c.keepsAborts(before, after, command)
	c.promotesByEvidence(before, after, command)
	c.hasTheProcesses(before, after)
	c.wants(canary.Want(after))
	c.bounds(after)

	c.before, c.state = before, after
	c.pins.expose(after)
	c.pins.follow(c.T, after)
}

func (c *checked) sameAs(state canary.State, seen canary.Observation, want canary.State, problem string) {
	again, _, err := canary.Step(state, seen, nil)
	if err != nil || marshal(c.T, again) != marshal(c.T, want) {
		c.Fatalf("%s (%v):\n%s\n%s", problem, err, marshal(c.T, want), marshal(c.T, again))
	}
}

// reloads checks that a restart before a decision changes nothing about it.
func (c *checked) reloads(before canary.State, seen canary.Observation, command *canary.Command, after canary.State) {
	var loaded canary.State
	if err := json.Unmarshal([]byte(marshal(c.T, before)), &loaded); err != nil {
		c.Fatal(err)
	}

	again, _, _ := canary.Step(loaded, seen, command)
	if marshal(c.T, again) != marshal(c.T, after) {
		c.Fatalf("a restart changed the decision:\n%s\n%s", marshal(c.T, after), marshal(c.T, again))
	}
}

// counts checks that the sequence grows whenever the mesh shall carry something else.
func (c *checked) counts(before, after canary.State, events []canary.Event) {
	from, to := canary.Want(before), canary.Want(after)
	from.Workloads, to.Workloads, from.Withdrawals, to.Withdrawals = nil, nil, nil, nil
	from.Share, to.Share = 0, 0

	switch {
	case after.Seq < before.Seq || after.Attempt < before.Attempt:
		c.Fatalf("went back from attempt %d, decision %d to %d, %d", before.Attempt, before.Seq, after.Attempt, after.Seq)
	case after.Seq == before.Seq && !reflect.DeepEqual(from, to):
		c.Fatalf("the mesh shall carry something else under the same number:\n%+v\n%+v", from, to)
	}

	for _, event := range events {
		if event.Reason == "" {
			c.Fatalf("%s: no reason", event.Action)
		}
	}
}

// keepsAborts checks that what was rejected stays out until someone wants it back.
func (c *checked) keepsAborts(before, after canary.State, command *canary.Command) {
	retried := command != nil && command.Kind == canary.Retry

	for revision := range before.Rejected {
		if _, still := after.Rejected[revision]; !still && !retried {
			c.Fatalf("%s is not rejected any more", revision)
		}
	}

	for revision := range after.Rejected {
		if revision == after.Candidate || revision == after.Stable {
			c.Fatalf("%s is rejected and in use", revision)
		}
	}
}

// promotesByEvidence checks that nobody but a person promotes a candidate without a minimum of turns.
func (c *checked) promotesByEvidence(before, after canary.State, command *canary.Command) {
	commanded := command != nil && command.Kind == canary.Promote
	decided := before.Goal == 100 && before.Candidate == after.Candidate // it only waited for processes
	begins := (after.Phase == canary.Promoting && before.Phase != canary.Promoting || after.Goal == 100) && !decided

	if turns := c.evidence[after.Candidate].Turns; begins && after.Plan.Automatic && !commanded && turns < 50 {
		c.Fatalf("promoted after %d turns: %s", turns, marshal(c.T, after))
	}
}

// hasTheProcesses checks that no candidate gets more weight than its ready processes are of the stable revision's size, and
// that as many as a weight needs are wanted before it comes.
func (c *checked) hasTheProcesses(before, after canary.State) {
	found := c.mesh != nil && (c.mesh.Attempt > before.Attempt || c.mesh.Seq > before.Seq)
	rises := after.Candidate != "" && (after.Weight > before.Weight || after.Candidate != before.Candidate && after.Weight > 0)

	if ready, size := c.ready[after.Candidate].Ready, c.ready[after.Stable].Size; rises && !found && ready*100 < after.Weight*size {
		c.Fatalf("%d%% for %d ready processes, beside %d: %s", after.Weight, ready, size, marshal(c.T, after))
	}

	if share := canary.Want(after).Share; share < after.Weight || share < after.Goal {
		c.Fatalf("only %d%% of the processes are wanted: %s", share, marshal(c.T, after))
	}
}

// wants checks that what is wanted makes sense by itself.
func (c *checked) wants(want canary.Wanted) {
	if want.Intent.Stable == "" {
		return
	}

	if weight := want.Intent.Weight; weight < 0 || weight > 100 || weight > 0 && want.Intent.Candidate == "" {
		c.Fatalf("weight %d for %q", weight, want.Intent.Candidate)
	}

	if want.Live[0] != want.Intent.Stable || len(want.Live) != len(set(want.Live)) {
		c.Fatalf("live: %v, stable is %s", want.Live, want.Intent.Stable)
	}

	for _, withdrawal := range want.Withdrawals {
		if withdrawal.Revision == want.Intent.Candidate && want.Intent.Weight > 0 {
			c.Fatalf("%s gets traffic before it is reinstated", withdrawal.Revision)
		}
	}

	for _, revision := range want.Live {
		if !slices.Contains(want.Workloads, revision) {
			c.Fatalf("%s is routed and does not run: %v", revision, want.Workloads)
		}
	}

	for from, to := range want.Redirects {
		_, chained := want.Redirects[to]
		if chained || from == to || !slices.Contains(want.Live, to) || !slices.Contains(want.Live, from) {
			c.Fatalf("pins of %s lead to %s: live %v, redirects %v", from, to, want.Live, want.Redirects)
		}

		if from == want.Intent.Stable || from == want.Intent.Candidate {
			c.Fatalf("%s is in use, and its pins lead to %s", from, to)
		}
	}
}

// bounds checks how many revisions there are at a time.
func (c *checked) bounds(state canary.State) {
	kept, withdrawn := 1, 0

	for _, revision := range []string{state.Candidate, state.Previous} {
		if revision != "" {
			kept++
		}
	}

	for _, leaving := range state.Leaving {
		pending := slices.ContainsFunc(state.Withdrawals, func(w canary.Withdrawal) bool { return w.Revision == leaving.Revision })

		switch {
		case leaving.Successor == "":
			kept++
		case !leaving.Gone && !pending:
			withdrawn++
		}
	}

	if kept > 3 || withdrawn > 5 {
		c.Fatalf("%d revisions keep conversations, %d are withdrawn: %s", kept, withdrawn, marshal(c.T, state))
	}
}

// settles checks that everything ends when nothing is in the way any more and nobody wants anything.
func (c *checked) settles() {
	c.meshStops, c.meshUnknown, c.storeStops = false, false, false
	c.ready, c.use = map[string]canary.Readiness{}, map[string]canary.Use{}

	for _, revision := range revisions {
		c.ready[revision] = canary.Readiness{Ready: 1}
		c.evidence[revision] = canary.Evidence{Turns: 1000}
	}

	for range 40 {
		c.now = c.now.Add(8 * 24 * time.Hour)
		c.decide(nil)
		c.carryOut()
		c.pins.store(c.world)
	}

	s := c.state
	waits := s.Phase == canary.Progressing && !s.Plan.Automatic || s.Phase == canary.Paused

	if len(s.Leaving) > 0 || len(s.Withdrawals) > 0 || s.InProgress() && !waits || s.Phase == canary.Aborting {
		c.Fatalf("never comes to rest: %s", marshal(c.T, s))
	}
}

func set(items []string) map[string]bool {
	found := map[string]bool{}
	for _, item := range items {
		found[item] = true
	}

	return found
}

func marshal(t *rapid.T, state canary.State) string {
	text, err := json.Marshal(state)
	if err != nil {
		t.Fatal(err)
	}

	return string(text)
}

// pins is a deliberately dumb store: which revisions conversations may be on, and where withdrawals lead.
type pins struct {
	exposed   map[string]bool
	withdrawn map[string]string
	done      int
	told      map[told]string
}

// told is what the store takes for one withdrawal, whatever the replacement.
type told struct {
	revision string
	attempt  int64
}

func newPins() *pins {
	return &pins{exposed: map[string]bool{}, withdrawn: map[string]string{}, told: map[told]string{}}
}

// store carries out, in order, what the world's store has confirmed.
func (p *pins) store(w *world) {
	for _, withdrawal := range w.confirmed[p.done:] {
		delete(p.withdrawn, withdrawal.Replacement)

		if withdrawal.Revision != withdrawal.Replacement {
			p.withdrawn[withdrawal.Revision] = withdrawal.Replacement
		}
	}

	p.done = len(w.confirmed)
}

// expose notes who may have conversations now.
func (p *pins) expose(state canary.State) {
	p.exposed[state.Stable] = true

	if state.Weight > 0 {
		p.exposed[state.Candidate] = true
	}
}

// follow checks that every conversation leads to a revision that is routed and takes it, or will once the store has
// carried out what is wanted; and that no withdrawal is mistaken for another.
func (p *pins) follow(t *rapid.T, state canary.State) {
	withdrawn := maps.Clone(p.withdrawn)

	for _, withdrawal := range state.Withdrawals {
		key := told{withdrawal.Revision, withdrawal.Attempt}
		if other, twice := p.told[key]; twice && other != withdrawal.Replacement {
			t.Fatalf("%s is withdrawn for %s and for %s in attempt %d", key.revision, other, withdrawal.Replacement, key.attempt)
		}

		p.told[key] = withdrawal.Replacement

		delete(withdrawn, withdrawal.Replacement)

		if withdrawal.Revision != withdrawal.Replacement {
			withdrawn[withdrawal.Revision] = withdrawal.Replacement
		}
	}

	want := canary.Want(state)

	for revision := range p.exposed {
		end := revision
		for range withdrawn {
			if next, moved := withdrawn[end]; moved {
				end = next
			}
		}

		_, redirected := want.Redirects[end]
		if state.Stable != "" && revision != "" && (redirected || !slices.Contains(want.Live, end)) {
			t.Fatalf("conversations of %s end at %s, which is not live: %+v\nwithdrawn: %v", revision, end, want, withdrawn)
		}
	}
}
