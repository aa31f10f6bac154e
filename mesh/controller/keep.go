package controller

import (
	"context"
	"encoding/json"
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
		if record.Gone {
			continue
		}

		own := newLedger(record.State.Attempt, record.State.StartedAt, record.Position)

		var found ledger
		if json.Unmarshal(kept[record.Agent], &found) == nil && found.Attempt == own.Attempt && found.Revisions != nil {
			own = &found
		}

		o.ledgers[record.Agent] = own
	}

	o.position = resume(position, records)
	o.kept = position

	return nil
}

// resume returns the position after which to go on: where the numbers are, else before the first that counts.
func resume(position int64, records []Record) int64 {
	if position > 0 {
		return position
	}

	first := int64(yetToCome)

	for _, record := range records {
		if before := max(record.Position-1, 0); !record.Gone && (first == yetToCome || before < first) {
			first = before
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
		data, err := json.Marshal(found)
		if err != nil {
			return 0, nil, err //nolint:wrapcheck // encoding/json names the type
		}

		numbers[agent] = data
	}

	return o.position, numbers, nil
}
