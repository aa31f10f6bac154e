package controller

import (
	"context"
	"log/slog"

	"github.com/serinhq/serin/mesh/canary"
)

// entries are what the audit log says of events: what follows from a command by itself is the platform's doing.
func (a *agent) entries(actor string, events []canary.Event) []HistoryEntry {
	entries := make([]HistoryEntry, len(events))
	for i, event := range events {
		entries[i] = HistoryEntry{
			Time: a.config.now(), Actor: platform, Action: event.Action, Reason: event.Reason, Attempt: event.After.Attempt,
			Before: snapshot(event.Before), After: snapshot(event.After),
		}

		if event.Commanded {
			entries[i].Actor = actor
		}
	}

	return entries
}

// entry is what the audit log says of something that is beside the engine.
func (a *agent) entry(actor, action, reason string, before, after Record) HistoryEntry {
	return HistoryEntry{
		Time: a.config.now(), Actor: actor, Action: action, Reason: reason, Attempt: after.State.Attempt,
		Before: snapshot(before.State.Place()), After: snapshot(after.State.Place()),
	}
}

func snapshot(at canary.Place) Snapshot {
	return Snapshot{Phase: at.Phase, Stable: at.Stable, Candidate: at.Candidate, Weight: at.Weight}
}

func (a *agent) tell(ctx context.Context, entries []HistoryEntry) {
	for _, entry := range entries {
		a.shared.metrics.decided(ctx, a.name, entry.Action)
		a.config.Telemetry.Logger.InfoContext(ctx, "rollout",
			slog.String("agent", a.name), slog.String("action", entry.Action), slog.String("actor", entry.Actor),
			slog.String("reason", entry.Reason), slog.Int64("attempt", entry.Attempt),
			slog.String("phase", string(entry.After.Phase)), slog.String("stable", entry.After.Stable),
			slog.String("candidate", entry.After.Candidate), slog.Int("weight", entry.After.Weight))
	}
}
