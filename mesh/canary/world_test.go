package canary_test

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/serinhq/serin/mesh/canary"
)

// world is what an engine decides about: a mesh, a store, processes and a clock, all of paper. It carries out at once
// what the state wants, unless it was told otherwise.
type world struct {
	now   time.Time
	state canary.State
	// before is the state that was saved before the last decision.
	before canary.State

	ready    map[string]canary.Readiness
	evidence map[string]canary.Evidence
	use      map[string]canary.Use

	mesh      *canary.Intent
	routed    []string
	confirmed []canary.Withdrawal
	// meshStops and storeStops keep either as it is; meshUnknown hides it, too.
	meshStops, meshUnknown, storeStops bool
}

func newWorld() *world {
	return &world{
		now:      time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC),
		state:    canary.State{Agent: "billing"},
		ready:    map[string]canary.Readiness{},
		evidence: map[string]canary.Evidence{},
		use:      map[string]canary.Use{},
	}
}

// step lets a second pass and decides: a command of more than one part in as many decisions.
func (w *world) step(command *canary.Command) ([]canary.Event, error) {
	w.now = w.now.Add(time.Second)

	if command == nil {
		return w.decideOn(nil)
	}

	var told []canary.Event

	for _, part := range w.state.Parts(*command) {
		events, err := w.decideOn(&part)
		if told = append(told, events...); err != nil {
			return told, err
		}
	}

	return told, nil
}

// decideOn makes one decision.
func (w *world) decideOn(command *canary.Command) ([]canary.Event, error) {
	w.before = w.state

	state, events, err := canary.Step(w.state, w.observe(), command)
	w.state = state

	return events, err
}

func (w *world) observe() canary.Observation {
	seen := canary.Observation{
		Now: w.now, Ready: w.ready, Evidence: w.evidence, Use: w.use, Confirmed: slices.Clone(w.confirmed),
	}

	if !w.meshUnknown {
		want := canary.Want(w.state)
		seen.Mesh, seen.Routed = w.mesh, slices.Clone(w.routed)
		seen.Converged = w.mesh != nil && *w.mesh == want.Intent && slices.Equal(w.routed, want.Live)
	}

	return seen
}

// carryOut does what the state wants.
func (w *world) carryOut() {
	want := canary.Want(w.state)

	if !w.meshStops && !w.meshUnknown && want.Intent.Stable != "" {
		w.mesh, w.routed = &want.Intent, want.Live
	}

	if !w.storeStops {
		w.confirmed = append(w.confirmed, want.Withdrawals...)
	}
}

// fact sets what is so from now on; false means that the line is none.
func (w *world) fact(line string) (bool, error) {
	words := strings.Fields(line)

	switch words[0] {
	case "ready":
		return true, w.setReady(words[1:])
	case "mesh":
		w.meshStops, w.meshUnknown = words[1] != "follows", words[1] == "unknown"
	case "store":
		w.storeStops = words[1] != "follows"
	case "evidence":
		return true, w.setEvidence(words[1], words[2:])
	case "use":
		return true, w.setUse(words[1], words[2:])
	default:
		return false, nil
	}

	return true, nil
}

// setReady reads "a=1 b=0", with sizes "a=4/4 b=1/2", or "unknown".
func (w *world) setReady(words []string) error {
	if words[0] == "unknown" {
		w.ready = nil

		return nil
	}

	w.ready = maps.Clone(w.ready)
	if w.ready == nil {
		w.ready = map[string]canary.Readiness{}
	}

	for _, word := range words {
		revision, count, _ := strings.Cut(word, "=")

		ready, size, _ := strings.Cut(count, "/")

		n, err := strconv.Atoi(ready)
		if err != nil {
			return fmt.Errorf("%s: %w", word, err)
		}

		all := 0
		if size != "" {
			if all, err = strconv.Atoi(size); err != nil {
				return fmt.Errorf("%s: %w", word, err)
			}
		}

		w.ready[revision] = canary.Readiness{Ready: n, Size: all}
	}

	return nil
}

// setEvidence reads "turns=50 failed=3 died=1 p99=2s".
func (w *world) setEvidence(revision string, words []string) error {
	evidence := w.evidence[revision]

	for _, word := range words {
		name, value, _ := strings.Cut(word, "=")
		if name == "p99" {
			p99, err := time.ParseDuration(value)
			if err != nil {
				return fmt.Errorf("%s: %w", word, err)
			}

			evidence.P99 = p99

			continue
		}

		n, err := strconv.ParseInt(value, 10, 64)
		if err != nil {
			return fmt.Errorf("%s: %w", word, err)
		}

		*map[string]*int64{
			"turns": &evidence.Turns, "failed": &evidence.Failed, "died": &evidence.Died,
		}[name] = n
	}

	w.evidence[revision] = evidence

	return nil
}

// setUse reads "running=1 now": now means that it was active just now.
func (w *world) setUse(revision string, words []string) error {
	use := w.use[revision]

	for _, word := range words {
		if word == "now" {
			use.LastActive = w.now

			continue
		}

		n, err := strconv.ParseInt(strings.TrimPrefix(word, "running="), 10, 64)
		if err != nil {
			return fmt.Errorf("%s: %w", word, err)
		}

		use.Running = n
	}

	w.use[revision] = use

	return nil
}
