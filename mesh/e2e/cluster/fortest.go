package cluster

import (
	"testing"
)

// ForTest starts a cluster that ends with the test. Where the test fails its logs stay, and the test's output says where.
func ForTest(t testing.TB, options Options) *Cluster {
	t.Helper()

	if options.Progress == nil {
		options.Progress = t.Output()
	}

	c, err := Start(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}

	t.Cleanup(func() {
		if err := c.Stop(t.Failed()); err != nil {
			t.Error(err)
		}
	})

	return c
}
