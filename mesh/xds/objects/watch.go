package objects

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
)

// bookmarkEvery is how often a watch that asks for it is told how far it is.
const bookmarkEvery = time.Minute

// watcher tells one client what happens. It is a position in the history and nothing else, so one that does not read
// costs nothing; it is told to start again when the history has left it behind.
type watcher struct {
	request   *request
	selection selection
	frames    *frames
	position  uint64
}

func (s *Store) serveWatch(r *request, selection selection) error {
	ctx, cancel, err := r.lifetime()
	if err != nil {
		return err
	}
	defer cancel()

	w := &watcher{request: r, selection: selection, frames: &frames{request: r}}

	initial, err := s.begin(w)
	if err != nil {
		return err
	}

	if err := w.first(initial); err == nil {
		s.follow(ctx, w)
	}

	return nil // what went wrong after the first byte, the stream has said itself
}

// lifetime is how long the watch may last.
func (r *request) lifetime() (context.Context, context.CancelFunc, error) {
	text := r.query.Get("timeoutSeconds")
	if text == "" {
		ctx, cancel := context.WithCancel(r.http.Context())

		return ctx, cancel, nil
	}

	seconds, err := strconv.ParseUint(text, 10, 31)
	if err != nil {
		return nil, nil, apierrors.NewBadRequest(fmt.Sprintf("timeoutSeconds is %q; it has to be a number of seconds", text))
	}

	ctx, cancel := context.WithTimeout(r.http.Context(), time.Duration(seconds)*time.Second)

	return ctx, cancel, nil
}

// begin finds where the watch starts, and the objects that it tells first, if any.
func (s *Store) begin(w *watcher) ([]*object, error) {
	version, err := w.request.resourceVersion()
	if err != nil {
		return nil, err
	}

	if version == 0 || w.request.wantsInitial() {
		now, objects := s.list(w.request.kind, w.selection)
		w.position = now

		if version > now {
			return nil, expired(version)
		}

		return objects, nil
	}

	w.position = version

	if _, _, known := s.since(version); !known {
		return nil, expired(version)
	}

	return nil, nil
}

// wantsInitial reports whether the objects as they are shall be told first, and a bookmark after them.
func (r *request) wantsInitial() bool { return r.query.Get("sendInitialEvents") == "true" }

// first tells the objects that there are.
func (w *watcher) first(initial []*object) error {
	w.frames.begin()

	for _, object := range initial {
		if err := w.frames.object(watch.Added, object.body); err != nil {
			return err
		}
	}

	if w.request.wantsInitial() {
		if err := w.frames.bookmark(w.position, map[string]string{metav1.InitialEventsAnnotationKey: "true"}); err != nil {
			return err
		}
	}

	return w.frames.flush()
}

// since returns the events after a version, and a channel that is closed when there are more; false if they are not
// all known any more.
func (s *Store) since(version uint64) ([]event, <-chan struct{}, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()

	events, known := s.state.history.after(version)

	return events, s.state.changed, known
}

// follow tells what happens until the client or the Store has enough.
func (s *Store) follow(ctx context.Context, w *watcher) {
	bookmarks := time.NewTicker(bookmarkEvery)
	defer bookmarks.Stop()

	for {
		events, changed, known := s.since(w.position)
		if !known {
			_ = w.frames.fail(expired(w.position))

			return
		}

		if err := w.tell(events); err != nil {
			return
		}

		select {
		case <-changed:
		case <-bookmarks.C:
			if err := w.mark(); err != nil {
				return
			}
		case <-ctx.Done():
			return
		case <-s.closed:
			return
		}
	}
}

// tell writes those of the events that the watch is about.
func (w *watcher) tell(events []event) error {
	told := false

	for _, e := range events {
		w.position = e.version

		kind, seen := w.seen(e)
		if !seen {
			continue
		}

		told = true

		if err := w.frames.object(kind, e.body); err != nil {
			return err
		}
	}

	if !told {
		return nil
	}

	return w.frames.flush()
}

// seen says what an event looks like to someone who sees only what is selected.
func (w *watcher) seen(e event) (watch.EventType, bool) {
	if e.kind != w.request.kind {
		return "", false
	}

	before := e.existed && w.selection.has(e.key, e.previous)
	after := !e.deleted && w.selection.has(e.key, e.labels)

	switch {
	case before && after:
		return watch.Modified, true
	case after:
		return watch.Added, true
	case before:
		return watch.Deleted, true
	default:
		return "", false
	}
}

// mark tells the client how far it is, so that it can come back to here, however long nothing happened.
func (w *watcher) mark() error {
	if w.request.query.Get("allowWatchBookmarks") != "true" {
		return nil
	}

	if err := w.frames.bookmark(w.position, nil); err != nil {
		return err
	}

	return w.frames.flush()
}

// unlimited takes the server's own deadline off a stream.
func (r *request) unlimited() *http.ResponseController {
	controller := http.NewResponseController(r.w)
	_ = controller.SetWriteDeadline(time.Time{}) // where it is not supported, there is none

	return controller
}
