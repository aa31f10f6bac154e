package controller_test

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/serinhq/serin/internal/telemetry"
	"github.com/serinhq/serin/mesh/controller"
)

// TestMetricsTellOfARollout reads them as Prometheus does.
func TestMetricsTellOfARollout(t *testing.T) {
	told, err := telemetry.New(telemetry.Options{Service: "serin-controller", Writer: t.Output()})
	if err != nil {
		t.Fatal(err)
	}

	w := newWorld(t)
	w.configure = func(config *controller.Config) { config.Telemetry = told }
	stable, candidate := w.rollOut()

	w.eventually("the metrics tell", func() bool {
		page := httptest.NewRecorder()
		told.Handler().ServeHTTP(page, httptest.NewRequestWithContext(t.Context(), "GET", "/metrics", nil))
		text := page.Body.String()

		for _, line := range []string{
			`serin_rollout_weight{agent="billing",state="carried"} 5`,
			`serin_rollout_weight{agent="billing",state="decided"} 5`,
			`serin_rollout_phase{agent="billing",phase="Progressing"} 1`,
			`serin_rollout_decisions_total{action="step",agent="billing"} 1`,
			`serin_revision_ready_replicas{agent="billing",revision="` + stable + `",role="stable"} 1`,
			`serin_revision_ready_replicas{agent="billing",revision="` + candidate + `",role="candidate"} 1`,
		} {
			if !strings.Contains(text, line+"\n") {
				return false
			}
		}

		return true
	})
	w.stop()

	if err := told.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}
