package canary_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/serinhq/serin/mesh/canary"
)

// TestFork has two decide on the same state about the same mesh, one of them to give traffic back. Whoever writes first,
// the mesh ends with that, both agree on it, and they come to rest.
func TestFork(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := checked{T: t, world: newWorld(), pins: newPins()}

		for range rapid.IntRange(1, 30).Draw(t, "decisions") {
			c.disturb()
			c.decide(drawCommand(t))
			c.carryOut()
			c.pins.store(c.world)
		}

		seen := c.observe()
		seen.Mesh = nil

		at, _, _ := canary.Step(c.state, seen, nil)
		gives := &canary.Command{Kind: canary.Abort}

		if !at.InProgress() {
			gives.Kind = canary.Undo
		}

		back, _, err := canary.Step(at, seen, gives)
		if err != nil {
			t.Skip("there is nothing to give back")
		}

		other, _, _ := canary.Step(at, seen, drawCommand(t))
		if other.Attempt != back.Attempt || other.Seq > back.Seq {
			t.Skip("the other decided something newer")
		}

		mesh := canary.Want(back).Intent
		for range 4 {
			mesh = c.follows(&other, mesh)
			mesh = c.follows(&back, mesh)
		}

		if one, two := canary.Want(other).Intent, canary.Want(back).Intent; one != two || one != mesh || one.Stable != at.Stable && one.Stable != at.Previous {
			t.Fatalf("two that look at one mesh do not agree:\n%+v\n%+v\n%+v", one, two, mesh)
		}

		if mesh.Candidate != "" || mesh.Weight != 0 || mesh.Stable != canary.Want(back).Intent.Stable {
			t.Fatalf("the abort was undone: %+v", mesh)
		}
	})
}

// follows has one of two look at the mesh and write to it, and returns what the mesh carries then: like the Router, it
// takes no older decision, and of two of the same number the one that gives back.
func (c *checked) follows(state *canary.State, mesh canary.Intent) canary.Intent {
	seen := c.observe()
	seen.Mesh, seen.Converged = &mesh, false

	*state, _, _ = canary.Step(*state, seen, nil)
	own := canary.Want(*state).Intent

	if own.Attempt > mesh.Attempt || own.Attempt == mesh.Attempt && own.Seq > mesh.Seq {
		return own
	}

	return mesh
}
