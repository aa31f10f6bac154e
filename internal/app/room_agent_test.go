package app

import (
	"strings"
	"testing"

	"github.com/serinhq/serin/internal/agentspec"
)

// The limit of an agent's segments is what its process is told, or else what its file says.
func TestAnAgentIsScaledFromOutside(t *testing.T) {
	for told, want := range map[string]int32{"": 256, "4": 4, "1": 1, "0": 0, "-1": 0, "many": 0, "4294967297": 0} {
		spec := agentspec.Agent{}
		spec.Spec.Scaling.MaxConcurrentSegments = 256

		work := &workload{env: &Env{Getenv: getenv(map[string]string{segmentsVariable: told})}}

		err := work.scale(&spec)
		if want == 0 && (err == nil || !strings.Contains(err.Error(), told) || !strings.Contains(err.Error(), segmentsVariable)) {
			t.Errorf("%q: %v, want an error that names it", told, err)
		}

		if got := spec.Spec.Scaling.MaxConcurrentSegments; want != 0 && (err != nil || got != want) {
			t.Errorf("%q: %d (%v), want %d", told, got, err, want)
		}
	}
}
