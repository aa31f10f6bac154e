package controller

import (
	"context"
	"log/slog"

	"github.com/serinhq/serin/mesh/canary"
)

// entries are what the audit log says of events.
func (a *agent) entries(before, after canary.State, actor string, events []canary.Event) []HistoryEntry {
	entries := make([]HistoryEntry, len(events))
	for i, event := range events {
		entries[i] = HistoryEntry{
			Time: a.config.now(), Actor: actor, Action: event.Action, Reason: event.Reason, Attempt: after.Attempt,
			Before: snapshot(before), After: snapshot(after),
		}
	}

	return entries
}

func (a *agent) tell(ctx context.Context, entries []HistoryEntry) {
	for _, entry := range entries {
		a.config.Telemetry.Logger.InfoContext(ctx, "rollout",
			slog.String("agent", a.name), slog.String("action", entry.Action), slog.String("actor", entry.Actor),
			slog.String("reason", entry.Reason), slog.Int64("attempt", entry.Attempt),
			slog.String("phase", string(entry.After.Phase)), slog.String("stable", entry.After.Stable),
			slog.String("candidate", entry.After.Candidate), slog.Int("weight", entry.After.Weight))
	}
}
