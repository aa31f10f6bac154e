package istio

import (
	"flag"
	"testing"

	"go.uber.org/goleak"
)

// TestMain looks at 30 stories of each model; -rapid.checks=2000 looks longer.
func TestMain(m *testing.M) {
	_ = flag.Set("rapid.checks", "30")

	goleak.VerifyTestMain(m)
}
