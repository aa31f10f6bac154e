package objects

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
)

// Config makes a [Store]. Zero values mean the defaults.
type Config struct {
	// Dir keeps the journal; it is made if missing. Empty means that objects live in memory only.
	Dir string
	// Validate judges an object, in the types of istio.io/client-go's v1, before a create, update or patch of it is
	// accepted; not before a change of status. A *field.Error or an aggregate of them is answered with the fields that
	// it names, any other error with its text; all as 422. It may read the Store but not write to it.
	Validate func(object runtime.Object) error
	// Logger; default none.
	Logger *slog.Logger
	// Now is the clock of timestamps; default time.Now.
	Now func() time.Time
	// History is how many of the latest writes a watch can start from; default 1024.
	History int
}

// Store keeps Istio's objects. It is safe for concurrent use.
type Store struct {
	config Config
	kinds  kinds

	// writing is held by a writer from reading what it changes until the change is published.
	writing sync.Mutex
	journal *journal // nil without a directory
	// background is the journal being rewritten.
	background sync.WaitGroup

	mu    sync.Mutex
	state state

	closing func()
	closed  <-chan struct{}
	close   func() error
}

// state is what a Store knows, guarded by its mu.
type state struct {
	objects map[string]map[key]*object
	history history
	// version is that of the latest write, content that of the latest which changed more than status.
	version, content uint64
	// snapshot is nil when it has to be made anew.
	snapshot *Snapshot
	// changed and contentChanged are closed, and replaced, with each write of their sort.
	changed, contentChanged chan struct{}
}

// Open returns the Store of a directory, with everything in it that was ever acknowledged. It fails on a journal that
// is damaged in the middle, was written by a newer release, or is in use by another Store.
func Open(config Config) (*Store, error) {
	config = config.withDefaults()
	closed := make(chan struct{})

	s := &Store{
		config: config, kinds: istioKinds(),
		closed: closed, closing: sync.OnceFunc(func() { close(closed) }),
		state: state{
			objects: map[string]map[key]*object{}, history: history{limit: config.History},
			changed: make(chan struct{}), contentChanged: make(chan struct{}),
		},
	}
	for name := range s.kinds {
		s.state.objects[name] = map[key]*object{}
	}

	if err := s.restore(); err != nil {
		return nil, err
	}

	s.close = sync.OnceValue(s.end)

	return s, nil
}

func (c Config) withDefaults() Config {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}

	if c.Now == nil {
		c.Now = time.Now
	}

	if c.Validate == nil {
		c.Validate = func(runtime.Object) error { return nil }
	}

	if c.History <= 0 {
		c.History = 1024
	}

	return c
}

// restore reads the journal back, or starts a new one.
func (s *Store) restore() error {
	// A store's first version is taken from the clock, so that whoever watched another store in this place, since
	// deleted, cannot take this one for it.
	first := uint64(max(s.config.Now().UnixMilli(), 1))

	if s.config.Dir == "" {
		s.state.start(first)

		return nil
	}

	journal, read, err := openJournal(s.config.Dir, first, migrations())
	if err != nil {
		return fmt.Errorf("objects: %w", err)
	}

	if err := s.replay(read); err != nil {
		return errors.Join(fmt.Errorf("objects: %s: %w", journal.path, err), journal.close())
	}

	if read.torn > 0 {
		s.config.Logger.Warn("the journal of objects ended in a write that was never answered; it was cut off",
			"file", journal.path, "bytes", read.torn)
	}

	s.journal = journal

	return nil
}

func (s *state) start(version uint64) {
	s.version, s.content, s.history.base = version, version, version
}

// Close ends watches, refuses writes from now on, and lets go of the directory. It can be called more than once.
func (s *Store) Close() error { return s.close() }

func (s *Store) end() error {
	s.writing.Lock()
	s.closing()
	s.writing.Unlock()
	s.background.Wait() // no write begins another rewrite

	if s.journal == nil {
		return nil
	}

	return s.journal.close()
}

// commit writes an event to the journal, and then makes it true. The caller holds writing. after is nil if the object
// is deleted.
func (s *Store) commit(e event, after *object, content bool) error {
	select {
	case <-s.closed:
		return apierrors.NewServiceUnavailable("the store of objects is closed")
	default:
	}

	if s.journal != nil {
		if err := s.journal.append(recordOf(e)); err != nil {
			s.config.Logger.Error("a write of an object failed", "error", err)

			return apierrors.NewInternalError(fmt.Errorf("writing to disk: %w", err))
		}
	}

	s.mu.Lock()
	s.state.apply(e, after, content)
	s.mu.Unlock()
	s.compact()

	return nil
}

// apply makes an event true and wakes who waits for it.
func (s *state) apply(e event, after *object, content bool) {
	if after == nil {
		delete(s.objects[e.kind.name], e.key)
	} else {
		s.objects[e.kind.name][e.key] = after
	}

	s.version, s.snapshot = e.version, nil
	s.history.add(e)
	close(s.changed)
	s.changed = make(chan struct{})

	if content {
		s.content = e.version
		close(s.contentChanged)
		s.contentChanged = make(chan struct{})
	}
}

// put is the event of an object that replaces before, which is nil if it is new.
func put(before, after *object) event {
	e := event{
		version: after.version, kind: after.kind, key: after.key, labels: after.typed.GetLabels(), body: after.body,
	}
	if before != nil {
		e.existed, e.previous = true, labels.Set(before.typed.GetLabels())
	}

	return e
}

// removed is the event of an object's end; last carries the event's version.
func removed(last *object) event {
	e := put(last, last)
	e.deleted = true

	return e
}

// get returns an object, or nil.
func (s *Store) get(k *kind, at key) *object {
	s.mu.Lock()
	defer s.mu.Unlock()

	return s.state.objects[k.name][at]
}

// next is the version of the write that is being made.
func (s *Store) next() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()

	return s.state.version + 1
}
