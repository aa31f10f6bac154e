package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/oklog/ulid/v2"

	"github.com/serinhq/serin/services/contextstore/commits"
)

const (
	insertMarker = "INSERT INTO commits (marker) VALUES (?)"
	// settleMarker takes a marker's place if it is free, and then leaves the mark of that beside it: the answer to this very
	// statement may be lost, too.
	settleMarker = `WITH taken AS (INSERT INTO commits (marker) VALUES ($1) ON CONFLICT DO NOTHING RETURNING marker)
		INSERT INTO commits (marker) SELECT $2 FROM taken`
	wasVoided     = "SELECT EXISTS (SELECT FROM commits WHERE marker = $1)"
	forgetMarkers = "DELETE FROM commits WHERE marker < $1"

	// markerKept is how long markers are kept: much longer than anyone wonders about a commit, whatever machines' clocks say.
	markerKept = time.Hour
	// forgetEvery is how often those that are older are deleted.
	forgetEvery = 10 * time.Minute
)

// marker is a row that a commit leaves, by which it can be told whether it was made when its answer is lost. Markers sort by
// their time.
type marker [16]byte

func newMarker() *marker { return new(marker(ulid.Make())) }

// repeats reports whether a transaction that was committed, but whose answer was lost, may simply run again: one that only
// adds events finds its request.
func repeats(one *commits.Job) bool { return one.About.Appends }

// settled finds out what became of a commit. If it was not made, it can't be any more: whoever is still at it finds the marker
// taken. A server that is away is waited for. Errors: the database's own, if nobody knows.
func (s *Store) settled(ctx context.Context, mark *marker) (made bool, err error) {
	for wait := pause; ; wait = min(2*wait, mostPause) {
		made, err := s.settle(ctx, mark)
		if err == nil {
			return made, nil
		}

		switch codeOf(err) {
		case lockNotAvailable:
		case readOnlyTransaction: // a standby that is about to be the primary
			s.pool.Reset()
		default:
			if !away(err) {
				return false, err
			}
		}

		if !rested(ctx, wait) {
			return false, err
		}
	}
}

func (s *Store) settle(ctx context.Context, mark *marker) (made bool, err error) {
	done, err := s.pool.Exec(ctx, settleMarker, *mark, mark.voided()) // it waits for a transaction that has not ended
	if err != nil || done.RowsAffected() > 0 {
		return false, err //nolint:wrapcheck // see unknown
	}

	// The place was taken: by the commit, or by an earlier try of this.
	var voided bool

	err = s.pool.QueryRow(ctx, wasVoided, mark.voided()).Scan(&voided)

	return !voided, err //nolint:wrapcheck // see unknown
}

// voided is the marker of the fact that a commit was not made. It is as old.
func (m marker) voided() marker {
	m[len(m)-1] ^= 1

	return m
}

// rested waits; false if the context ends before that.
func rested(ctx context.Context, wait time.Duration) bool {
	if until, bounded := ctx.Deadline(); bounded && time.Until(until) < wait {
		return false
	}

	select {
	case <-time.After(wait):
		return true
	case <-ctx.Done():
		return false
	}
}

// forgetting deletes markers from time to time that nobody asks for any more.
func forgetting(ctx context.Context, pool *pgxpool.Pool) {
	tick := time.NewTicker(forgetEvery)
	defer tick.Stop()

	for {
		select {
		case <-tick.C:
			forget(ctx, pool, time.Now().Add(-markerKept))
		case <-ctx.Done():
			return
		}
	}
}

// forget deletes markers from before a time. If that fails, the next time does it.
func forget(ctx context.Context, pool *pgxpool.Pool, before time.Time) {
	var last ulid.ULID

	_ = last.SetTime(ulid.Timestamp(before)) // it fails in the year 10889

	_, _ = pool.Exec(ctx, forgetMarkers, marker(last)) // see above
}
