package retriever

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

const (
	// batchTexts and batchBytes bound one request for vectors.
	batchTexts = 64
	batchBytes = 128 << 10
	// maxPause is the longest time until an endpoint that fails is asked again.
	maxPause = 30 * time.Second
	// maxRefusals in a row are the endpoint's fault, not the texts'.
	maxRefusals = 8
)

// embedding makes the vectors that are missing, as long as it runs.
type embedding struct {
	service *Service
	// refused are digests of texts that the endpoint did not take, and when.
	refused map[string]time.Time
	// inARow counts refusals since the last success.
	inARow int
}

// keepEmbedded makes vectors of new passages until ctx ends.
func (s *Service) keepEmbedded(ctx context.Context) error {
	if !s.embedder.wanted() {
		return nil
	}

	work := &embedding{service: s, refused: map[string]time.Time{}}
	pause := s.config.Embeddings.Cooldown

	for ctx.Err() == nil {
		done, err := work.some(ctx)

		wait := time.Duration(0)

		switch {
		case err != nil && ctx.Err() == nil:
			s.embedder.note(err)
			s.config.Telemetry.Logger.WarnContext(ctx, "passages have no vectors yet", "error", err)

			wait, pause = pause, min(2*pause, maxPause)
		case done:
			wait, pause = maxPause, s.config.Embeddings.Cooldown
		default:
			pause = s.config.Embeddings.Cooldown
		}

		// After a failure new passages change nothing: the endpoint is let recover.
		sleep(ctx, wait, s.changed, err == nil)
	}

	return nil
}

// sleep waits, or until it is woken if it may be; false if ctx ends.
func sleep(ctx context.Context, wait time.Duration, wake <-chan struct{}, wakes bool) bool {
	if !wakes {
		wake = nil
	}

	timer := time.NewTimer(wait)
	defer timer.Stop()

	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
	case <-wake:
	}

	return true
}

// some makes one batch of vectors; done says that none was missing.
func (e *embedding) some(ctx context.Context) (done bool, err error) {
	if err := e.count(ctx); err != nil {
		return true, err
	}

	batch, err := e.service.index.bare(ctx, e.service.config.Embeddings.Model, e.skipped())
	if err != nil || len(batch) == 0 {
		return true, err
	}

	return false, e.batch(ctx, batch)
}

// skipped are the refused texts that are not tried now. Endpoints change their minds, so that it is not for ever.
func (e *embedding) skipped() map[string]bool {
	skip := map[string]bool{}

	for digest, at := range e.refused {
		if time.Since(at) <= e.service.config.Embeddings.Reconsider {
			skip[digest] = true
		}
	}

	return skip
}

// count forgets refused texts that are no more, and notes how many passages the others are.
func (e *embedding) count(ctx context.Context) error {
	total := int64(0)

	for digest := range e.refused {
		ids, err := e.service.index.withDigest(ctx, digest)
		if err != nil {
			return err
		}

		if total += int64(len(ids)); len(ids) == 0 {
			delete(e.refused, digest)
		}
	}

	e.service.embedder.refusals.Store(total)

	return nil
}

// batch asks for vectors; a batch that is refused is asked for in halves, so that one text does not take others with it.
func (e *embedding) batch(ctx context.Context, batch []bare) error {
	texts := make([]string, len(batch))
	for i, one := range batch {
		texts[i] = embedded(one.context, one.text)
	}

	asking, cancel := context.WithTimeout(ctx, e.service.config.Embeddings.Timeout)
	defer cancel()

	made, err := e.service.embedder.ask(asking, texts)

	switch {
	case err == nil:
		e.inARow = 0

		for _, one := range batch {
			delete(e.refused, one.digest)
		}

		if err := e.service.store(ctx, batch, made); err != nil {
			return err
		}

		e.service.embedder.note(nil)

		return nil
	case refused(err) == nil:
		return err
	case len(batch) > 1:
		half := len(batch) / 2

		return errors.Join(e.batch(ctx, batch[:half]), e.batch(ctx, batch[half:]))
	}

	digest := batch[0].digest

	// A text that was refused before says nothing new about the endpoint.
	_, before := e.refused[digest]
	if !before {
		e.inARow++
	}

	if e.inARow > maxRefusals {
		return err
	}

	if e.refused[digest] = time.Now(); before {
		return nil
	}

	e.service.config.Telemetry.Logger.WarnContext(ctx, "a passage gets no vector", "document", batch[0].document, "error", err)

	return e.count(ctx)
}

// store keeps vectors, and gives them to the passages that they are of.
func (s *Service) store(ctx context.Context, batch []bare, made [][]float32) error {
	s.changing.Lock()
	defer s.changing.Unlock()

	dimensions := cmp.Or(s.vectors.size(), len(made[0]))
	for _, vector := range made {
		if len(vector) != dimensions {
			return dimensionsError(len(vector), dimensions)
		}
	}

	model := s.config.Embeddings.Model

	err := s.index.update(ctx, func(tx *sql.Tx) error {
		for i, one := range batch {
			if _, err := tx.ExecContext(ctx, "INSERT OR REPLACE INTO vectors (digest, model, vector) VALUES (?, ?, ?)",
				one.digest, model, encodeVector(made[i])); err != nil {
				return fmt.Errorf("write vectors: %w", err)
			}
		}

		return nil
	})
	if err != nil {
		return err
	}

	for i, one := range batch {
		ids, err := s.index.withDigest(ctx, one.digest)
		if err != nil {
			return err
		}

		for _, id := range ids {
			if err := s.vectors.put(id, made[i]); err != nil {
				return err
			}
		}
	}

	return nil
}

// attach gives new passages the vectors that there are of their texts already.
func (s *Service) attach(ctx context.Context, came []kept) error {
	if !s.embedder.wanted() {
		return nil
	}

	for _, one := range came {
		vector, err := s.index.vector(ctx, one.digest, s.config.Embeddings.Model)
		if err != nil {
			return err
		}

		if vector == nil {
			continue
		}

		if err := s.vectors.put(one.id, vector); err != nil {
			return err
		}
	}

	return nil
}
