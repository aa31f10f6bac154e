// Package storetest is the behaviour that every [contextstore.Store] must show. It looks at the state of the world
// through ContextService, as its callers see it.
package storetest

import (
	"testing"

	"github.com/serinhq/serin/services/contextstore"
)

// Open opens a new, empty store for a test, which closes it.
type Open func(t testing.TB) contextstore.Store

// Run runs the suite.
func Run(t *testing.T, open Open) {
	t.Helper()

	suites := []struct {
		name  string
		tests map[string]func(*world)
	}{
		{"Rows", rowTests()},
		{"Conversations", conversationTests()},
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

	for _, suite := range suites {
		t.Run(suite.name, func(t *testing.T) {
			for name, test := range suite.tests {
				t.Run(name, func(t *testing.T) { test(newWorld(t, open(t))) })
			}
		})
	}

	t.Run("Model", func(t *testing.T) { checkModel(t, open) })
}
