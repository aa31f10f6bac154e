package loadtest

import (
	"context"
	"time"
)

// Counts are how far a load is.
type Counts struct {
	// Started, Finished and Open are conversations.
	Started, Finished, Open int
	// Turns ended in any way; Failed are those of them that failed.
	Turns, Failed int
	// Flips, Lost and Doubled are as in [Report].
	Flips, Lost, Doubled int
	// Joined are conversations by agent that got a pin of it.
	Joined map[string]int
}

// Progress is how a load goes.
type Progress struct {
	Counts

	// Elapsed is the time since it began.
	Elapsed time.Duration
	// TurnsPerSecond, P50 and P99 are of the time since the last word.
	TurnsPerSecond float64
	P50, P99       time.Duration
}

const progressEvery = time.Second

func (l *Load) showProgress(ctx context.Context) {
	ticker := time.NewTicker(progressEvery)
	defer ticker.Stop()

	before := 0

	for {
		select {
		case <-ticker.C:
			var shown Progress

			shown, before = l.record.progress(l.cfg.Now(), before)
			l.cfg.Progress(shown)
		case <-ctx.Done():
			return
		}
	}
}
