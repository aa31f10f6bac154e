package agent

import (
	"strings"
	"sync"
	"time"
)

// How a message that is being written becomes visible and durable.
const (
	// showEvery is the least time between two deltas; text that comes after a longer silence is shown at once.
	showEvery = 15 * time.Millisecond
	// keepEvery and keepBytes are the most time and text that may be lost.
	keepEvery = 250 * time.Millisecond
	keepBytes = 1024
)

// recorder shows and keeps a message while the model writes it.
type recorder struct {
	// show shows text that begins at an offset; keep makes it durable. Neither is called for an empty text.
	show func(offset int64, text string)
	keep func(offset int64, text string) error

	wake chan struct{}
	stop chan struct{}
	done chan struct{}

	mu   sync.Mutex
	text strings.Builder
	// since is when the oldest text that is not durable came.
	since time.Time

	// Used by the loop alone.
	shown, kept int64
	showedAt    time.Time
	err         error
}

func newRecorder(show func(int64, string), keep func(int64, string) error) *recorder {
	r := &recorder{
		show: show, keep: keep,
		wake: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{}),
	}

	go r.loop()

	return r
}

// write adds text; it never waits for the store.
func (r *recorder) write(text string) {
	r.mu.Lock()

	if r.since.IsZero() {
		r.since = time.Now()
	}

	r.text.WriteString(text)
	r.mu.Unlock()

	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// close stops showing and keeping, and returns why text could not be kept.
func (r *recorder) close() error {
	close(r.stop)
	<-r.done

	return r.err
}

func (r *recorder) loop() {
	defer close(r.done)

	timer := time.NewTimer(time.Hour)
	defer timer.Stop()

	for {
		select {
		case <-r.stop:
			return
		case <-r.wake:
		case <-timer.C:
		}

		next, err := r.act(time.Now())
		if err != nil {
			r.err = err

			return
		}

		timer.Reset(next)
	}
}

// act shows and keeps what is due and returns when to look again.
func (r *recorder) act(now time.Time) (time.Duration, error) {
	text, since := r.snapshot()
	next := time.Hour

	if r.shown < int64(len(text)) {
		if wait := showEvery - now.Sub(r.showedAt); wait > 0 {
			next = wait
		} else {
			r.show(r.shown, text[r.shown:])
			r.shown, r.showedAt = int64(len(text)), now
		}
	}

	if r.kept == int64(len(text)) {
		return next, nil
	}

	if wait := keepEvery - now.Sub(since); wait > 0 && int64(len(text))-r.kept < keepBytes {
		return min(next, wait), nil
	}

	if err := r.keep(r.kept, text[r.kept:]); err != nil {
		return 0, err
	}

	r.kept = int64(len(text))
	r.settled(r.kept)

	return min(next, showEvery), nil
}

func (r *recorder) snapshot() (string, time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()

	return r.text.String(), r.since
}

// settled restarts the clock: what came while a part was written waits from now on.
func (r *recorder) settled(kept int64) {
	r.mu.Lock()
	defer r.mu.Unlock()

	r.since = time.Time{}
	if int64(r.text.Len()) > kept {
		r.since = time.Now()
	}
}
