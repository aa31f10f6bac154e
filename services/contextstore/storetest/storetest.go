// Package storetest is the behaviour that every [contextstore.Store] must show. It looks at the state of the world
// through ContextService, as its callers see it.
package storetest

import (
	"testing"

	"github.com/serinhq/serin/services/contextstore"
)

// Open opens a new, empty store for a test, which closes it.
type Open func(t testing.TB) contextstore.Store

// suite is some tests of one part.
type suite struct {
	name  string
	tests map[string]func(*world)
}

// Run runs the suite.
func Run(t *testing.T, open Open) {
	t.Helper()
	run(t, open, append(suites(), memorySuites()...))
	t.Run("Model", func(t *testing.T) { checkModel(t, open) })
}

// RunBriefly runs only the part of the suite that writes to every table at least once.
func RunBriefly(t *testing.T, open Open) {
	t.Helper()

	run(t, open, []suite{
		{"Rows", rowTests()},
		{"Turns", turnTests()},
		{"Outcomes", outcomeTests()},
		{"Calls", callTests()},
		{"Memory", memoryTests()},
		{"Delete", deleteTests()},
		{"Memories", memoriesTests()},
	})
}

func suites() []suite {
	return []suite{
		{"Rows", rowTests()},
		{"Conversations", conversationTests()},
		{"Delete", deleteTests()},
		{"Append", appendTests()},
		{"Turns", turnTests()},
		{"Authorization", authorizationTests()},
		{"Leases", leaseTests()},
		{"Renewal", renewalTests()},
		{"Revisions", revisionTests()},
		{"Pins", pinTests()},
		{"RevisionUse", revisionUseTests()},
		{"Outcomes", outcomeTests()},
		{"WatchOutcomes", watchTests()},
		{"Calls", callTests()},
		{"Input", inputTests()},
		{"Cancel", cancelTests()},
		{"Memory", memoryTests()},
		{"Follow", followTests()},
		{"Publish", publishTests()},
	}
}

func run(t *testing.T, open Open, suites []suite) {
	t.Helper()

	for _, suite := range suites {
		t.Run(suite.name, func(t *testing.T) {
			for name, test := range suite.tests {
				t.Run(name, func(t *testing.T) { test(newWorld(t, open(t))) })
			}
		})
	}
}
