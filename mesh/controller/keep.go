package controller

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"time"
)

// keepNumbers is how often numbers are kept, so that a restart need not read every outcome again.
const keepNumbers = 10 * time.Second

// restore goes on with what was kept.
func (o *outcomes) restore(ctx context.Context, records []Record) error {
	position, kept, err := o.config.Store.LoadNumbers(ctx)
	if err != nil {
		return err
	}

	for _, record := range records {
		if !record.Gone {
			o.ledgers[record.Agent] = restored(record, kept[record.Agent], position)
		}
	}

	o.position = resume(position, o.ledgers)
	o.kept = position

	return nil
}

// restored returns the numbers of an agent as they were kept with a position, or new ones if those are of another attempt
// or can't be read.
func restored(record Record, kept []byte, position int64) *ledger {
	var found ledger
	if json.Unmarshal(kept, &found) != nil || found.Attempt != record.State.Attempt || found.Revisions == nil {
		return newLedger(record.State.Attempt, record.State.StartedAt, record.Position)
	}

	found.Taken = max(found.Taken, position, found.From-1)

	return &found
}

// resume returns the position after which to go on: that of the numbers that lack the most. The others have had some of
// what comes then, and pass it over.
func resume(kept int64, ledgers map[string]*ledger) int64 {
	first := kept
	if kept <= 0 {
		first = yetToCome
	}

	for i, agent := range slices.Sorted(maps.Keys(ledgers)) {
		if taken := ledgers[agent].Taken; i == 0 || taken < first {
			first = taken
		}
	}

	return first
}

// keep stores the numbers from time to time, and once more at the end.
func (o *outcomes) keep(ctx context.Context) {
	for more := true; more; {
		more = sleep(ctx, keepNumbers)

		if err := o.save(context.WithoutCancel(ctx)); err != nil {
			o.config.Telemetry.Logger.WarnContext(ctx, "the numbers could not be kept", "error", err)
		}
	}
}

func (o *outcomes) save(ctx context.Context) error {
	position, numbers, err := o.encode()
	if err != nil || numbers == nil {
		return err
	}

	ctx, cancel := context.WithTimeout(ctx, saveTimeout)
	defer cancel()

	if err := o.config.Store.SaveNumbers(ctx, position, numbers); err != nil {
		return err
	}

	o.mu.Lock()
	defer o.mu.Unlock()

	o.kept = position

	return nil
}

// encode returns the numbers as they are kept; nil if nothing came since.
func (o *outcomes) encode() (int64, map[string][]byte, error) {
	o.mu.Lock()
	defer o.mu.Unlock()

	if o.position <= max(o.kept, 0) {
		return 0, nil, nil
	}

	numbers := make(map[string][]byte, len(o.ledgers))

	for agent, found := range o.ledgers {
		found.Taken = max(found.Taken, o.position) // what came for others is none of it

		data, err := json.Marshal(found)
		if err != nil {
			return 0, nil, err //nolint:wrapcheck // encoding/json names the type
		}

		numbers[agent] = data
	}

	return o.position, numbers, nil
}
