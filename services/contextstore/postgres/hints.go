package postgres

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/oklog/ulid/v2"

	"github.com/serinhq/serin/services/contextstore"
)

const (
	// channel is the one that hints are sent on.
	channel = "serin_context"
	// payload is how many bytes of names go into one notification; PostgreSQL takes up to 8000.
	payload = 7000
	// rest is how long the sender waits between notifications, so that many commits share one.
	rest = 5 * time.Millisecond
	// Reconnecting waits for between these, longer each time.
	reconnectLeast, reconnectMost = 100 * time.Millisecond, 5 * time.Second
)

// hints tells other processes what this one changed: outside of the transactions, because a notification within one makes
// all commits wait for each other. What gets lost is found by polling.
type hints struct {
	pool *pgxpool.Pool
	// self is how this process knows its own hints.
	self string
	stop context.CancelFunc
	done sync.WaitGroup

	mu      sync.Mutex
	waiting map[string]struct{}
	wake    chan struct{}
}

func newHints(pool *pgxpool.Pool) *hints {
	ctx, stop := context.WithCancel(context.Background())
	made := &hints{
		pool: pool, self: strings.ToLower(ulid.Make().String()), stop: stop,
		waiting: map[string]struct{}{}, wake: make(chan struct{}, 1),
	}

	made.done.Go(func() { made.run(ctx) })

	return made
}

func (h *hints) close() {
	h.stop()
	h.done.Wait()
}

// send queues a hint.
func (h *hints) send(hint contextstore.Hint) {
	h.mu.Lock()
	defer h.mu.Unlock()

	for _, id := range hint.Conversations {
		h.waiting["c "+id] = struct{}{}
	}

	for _, id := range hint.Turns {
		h.waiting["t "+id] = struct{}{}
	}

	if hint.Outcomes {
		h.waiting["o"] = struct{}{}
	}

	if len(h.waiting) > 0 {
		select {
		case h.wake <- struct{}{}:
		default:
		}
	}
}

func (h *hints) run(ctx context.Context) {
	for {
		select {
		case <-h.wake:
		case <-ctx.Done():
			return
		}

		h.notify(ctx, h.take())

		select {
		case <-time.After(rest):
		case <-ctx.Done():
			return
		}
	}
}

// take returns what waits, as payloads.
func (h *hints) take() (payloads []string) {
	h.mu.Lock()
	waiting := h.waiting
	h.waiting = map[string]struct{}{}
	h.mu.Unlock()

	var text strings.Builder

	for line := range waiting {
		if text.Len()+len(line) > payload {
			payloads = append(payloads, h.self+text.String())
			text.Reset()
		}

		text.WriteString("\n" + line)
	}

	return append(payloads, h.self+text.String())
}

// hintTimeout is what it may take to send hints.
const hintTimeout = 5 * time.Second

// notify sends payloads. A hint may be lost: neither its commit nor its failure matters.
func (h *hints) notify(ctx context.Context, payloads []string) {
	ctx, cancel := context.WithTimeout(ctx, hintTimeout) // a dead connection must not hold back the hints to come
	defer cancel()

	batch := &pgx.Batch{}
	batch.Queue("SELECT set_config('synchronous_commit', 'off', true)")
	batch.Queue("SELECT pg_notify($1, hint) FROM unnest($2::text[]) AS hint", channel, payloads)

	_ = h.pool.SendBatch(ctx, batch).Close() // see above
}

// parse reads a payload; it answers false for this process's own.
func (h *hints) parse(text string) (hint contextstore.Hint, foreign bool) {
	from, lines, _ := strings.Cut(text, "\n")

	for line := range strings.SplitSeq(lines, "\n") {
		switch kind, id, _ := strings.Cut(line, " "); kind {
		case "c":
			hint.Conversations = append(hint.Conversations, id)
		case "t":
			hint.Turns = append(hint.Turns, id)
		case "o":
			hint.Outcomes = true
		}
	}

	return hint, from != h.self
}

// Watch listens on a connection of its own, and polls beside it, until the context ends.
func (s *Store) Watch(ctx context.Context, followed func() []string, told func(contextstore.Hint)) {
	var polling sync.WaitGroup
	defer polling.Wait()

	polling.Go(func() { s.poll(ctx, followed, told) })

	for wait := reconnectLeast; ctx.Err() == nil; wait = min(2*wait, reconnectMost) {
		began := time.Now()
		err := s.listen(ctx, told)

		if ctx.Err() != nil {
			return
		}

		s.logger.WarnContext(ctx, "the connection that listens for hints was lost; the store is polled meanwhile", "error", err)

		if time.Since(began) > reconnectMost {
			wait = reconnectLeast
		}

		select {
		case <-time.After(wait/2 + rand.N(wait)): //nolint:gosec // chance is all that it needs
		case <-ctx.Done():
		}
	}
}

// listen passes hints on until the connection is lost.
func (s *Store) listen(ctx context.Context, told func(contextstore.Hint)) error {
	conn, err := pgx.ConnectConfig(ctx, s.listener.Copy())
	if err != nil {
		return err //nolint:wrapcheck // it names the server
	}

	defer func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()

		_ = conn.Close(closing) // nothing is lost
	}()

	if _, err := conn.Exec(ctx, "LISTEN "+channel); err != nil {
		return err //nolint:wrapcheck // it is only logged
	}

	told(contextstore.Hint{Everything: true}) // what happened before is not told

	for {
		notification, err := conn.WaitForNotification(ctx)
		if err != nil {
			return err //nolint:wrapcheck // it is only logged
		}

		if hint, foreign := s.hints.parse(notification.Payload); foreign {
			told(hint)
		}
	}
}

// polled is how many conversations one query asks for.
const polled = 1000

const (
	selectVersions = `SELECT id, COALESCE((SELECT sequence FROM events WHERE conversation_id = id
		ORDER BY sequence DESC LIMIT 1), 0) FROM unnest(?::text[]) AS id`
	selectLastOutcome = `SELECT '', COALESCE(MAX(position), 0) FROM outcomes`
)

// poll finds what hints did not tell: the sequences are the truth.
func (s *Store) poll(ctx context.Context, followed func() []string, told func(contextstore.Hint)) {
	tick := time.NewTicker(s.every)
	defer tick.Stop()

	known := map[string]int64{}

	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}

		found, err := s.versions(ctx, followed())
		if err != nil {
			if ctx.Err() == nil {
				s.logger.WarnContext(ctx, "the store could not be polled", "error", err)
			}

			continue
		}

		if hint := newer(known, found); len(hint.Conversations) > 0 || hint.Outcomes {
			told(hint)
		}

		known = found
	}
}

// newer is the hint for what grew. What was not known yet may have.
func newer(known, found map[string]int64) (hint contextstore.Hint) {
	for id, version := range found {
		switch last, seen := known[id]; {
		case seen && version <= last:
		case id == "":
			hint.Outcomes = true
		default:
			hint.Conversations = append(hint.Conversations, id)
		}
	}

	return hint
}

// versions reads how long logs are, and, under no name, the last outcome's position.
func (s *Store) versions(ctx context.Context, ids []string) (found map[string]int64, err error) {
	err = s.View(ctx, contextstore.About{}, func(from contextstore.Reader) error {
		rows, ok := from.(reader)
		if !ok {
			return errors.New("the store reads from another")
		}

		found = make(map[string]int64, len(ids)+1)
		note := func(scan func(...any) error) (bool, error) {
			var (
				id      string
				version int64
			)

			err := scan(&id, &version)
			found[id] = version

			return true, err
		}

		err := rows.Each(selectLastOutcome, nil, note)
		for chunk := range slices.Chunk(ids, polled) {
			err = errors.Join(err, rows.Each(selectVersions, []any{chunk}, note))
		}

		return err
	})

	return found, err
}
