package app_test

import (
	"context"
	"syscall"
	"testing"

	"github.com/serinhq/serin/internal/app"
	"github.com/serinhq/serin/loadtest"
)

// Every process is told to end, one after the other, while users talk, as a rolling restart does. Each finishes what it is
// at or passes it on: no turn fails, no connection breaks, and no event is lost.
func TestRollingRestart(t *testing.T) {
	underLoad(t)

	p := startPlatform(t, func(config *app.PlatformConfig) { config.DemoDelay = "300ms" })

	report := p.whileTalking(8, func(ctx context.Context, load *loadtest.Load) {
		for _, status := range p.platform.Statuses() {
			load.Mark("restart of " + status.Name)
			p.replace(status.Name, syscall.SIGTERM)
			more(ctx, t, load, 3)
		}
	})

	if failed := report.Turns.FailedBy[loadtest.ProviderError]; failed > 0 {
		t.Errorf("%d turns failed because the ambassador was away", failed)
	}
}
