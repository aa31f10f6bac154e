package identity

import (
	"context"
	"maps"
	"slices"
	"time"
)

// longestPause bounds how late a renewal is noticed after the machine slept: timers stand still meanwhile, certificates
// do not.
const longestPause = 15 * time.Second

// Run renews what was issued at half of its lifetime, until ctx ends. What cannot be renewed is logged and tried again.
func (ca *CA) Run(ctx context.Context) error {
	ticker := time.NewTicker(max(min(ca.config.Lifetime/20, longestPause), time.Millisecond))
	defer ticker.Stop()

	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			ca.renewDue(ctx)
		}
	}
}

func (ca *CA) renewDue(ctx context.Context) {
	ca.mu.Lock()
	defer ca.mu.Unlock()

	now := ca.config.Now().Round(0)

	for _, dir := range slices.Sorted(maps.Keys(ca.issued)) {
		entry := ca.issued[dir]
		if now.Before(entry.renew) {
			continue
		}

		if err := ca.issue(dir, entry); err != nil {
			ca.config.Logger.ErrorContext(ctx, "a certificate could not be renewed", "identity", entry.uri, "error", err)

			continue
		}

		ca.config.Logger.DebugContext(ctx, "certificate renewed", "identity", entry.uri, "renew_at", entry.renew)
	}
}
