package contextstore

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/timestamppb"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
	"github.com/serinhq/serin/internal/fault"
)

// Config is what a Service needs. Zero values mean the defaults.
type Config struct {
	// Store keeps the rows; required. The Service closes it.
	Store Store
	// Now is the clock of events, leases and claims; default is the store's own, which all processes that share it go by.
	Now func() time.Time
	// LeasePoll is how often a waiting RenewLease looks at the turn's row, for changes that another process made;
	// default 1s.
	LeasePoll time.Duration
	// FollowPoll is how often an idle follower looks at the log, for the same reason; default 15s.
	FollowPoll time.Duration
	// FollowBuffer is how many events wait in memory for one follower before it reads the log instead; default 256.
	FollowBuffer int
	// OutcomesKept is how long outcomes are kept; default 30 days. It must be longer than whoever watches them is ever away,
	// and than a revision may be idle before it retires: when a revision was last active is known from its outcomes.
	OutcomesKept time.Duration
	// MemoriesKept is how many memories a user may have at once; default 10,000.
	MemoriesKept int
	// FollowLag is how many durable events a follower may lag behind before it is told to come again; default 65536.
	FollowLag int64
}

// Service serves ContextService.
type Service struct {
	contextv1.UnimplementedContextServiceServer

	config Config
	store  Store
	ids    *ids
	hub    *hub
	// turns and outcomes wake whoever waits for a change of a turn, or for an outcome.
	turns, outcomes *watch
	epochs          *epochs

	draining func()
	drained  <-chan struct{}

	// unwatch ends watching; nil where no other process writes.
	unwatch  context.CancelFunc
	watching sync.WaitGroup
}

// New makes a Service over an open store.
func New(config Config) (*Service, error) {
	if config.Store == nil {
		return nil, errors.New("contextstore: Config.Store is required")
	}

	config.LeasePoll = cmp.Or(config.LeasePoll, time.Second)
	config.FollowPoll = cmp.Or(config.FollowPoll, 15*time.Second)
	config.FollowBuffer = cmp.Or(config.FollowBuffer, 256)
	config.OutcomesKept = cmp.Or(config.OutcomesKept, 30*24*time.Hour)
	config.MemoriesKept = cmp.Or(config.MemoriesKept, 10000)
	config.FollowLag = cmp.Or(config.FollowLag, 65536)

	drained := make(chan struct{})

	service := &Service{
		config: config, store: config.Store, ids: newIDs(),
		hub: newHub(config.FollowBuffer), turns: newWatch(), outcomes: newWatch(), epochs: newEpochs(config.LeasePoll),
		drained: drained, draining: sync.OnceFunc(func() { close(drained) }),
	}

	if shared, ok := config.Store.(Shared); ok {
		service.watch(shared)
	}

	return service, nil
}

// Register adds ContextService to a server.
func (s *Service) Register(registrar grpc.ServiceRegistrar) {
	contextv1.RegisterContextServiceServer(registrar, s)
}

// Ready says whether the store answers.
func (s *Service) Ready(ctx context.Context) error {
	return s.store.View(ctx, About{}, func(rows Reader) error {
		_, err := rows.ResumableTurns(time.Time{}, 1)

		return err
	})
}

// Drain ends followers and long polls with UNAVAILABLE (DRAINING), so that a server can stop gracefully.
func (s *Service) Drain() { s.draining() }

// Close drains and closes the store.
func (s *Service) Close() error {
	s.Drain()

	if s.unwatch != nil {
		s.unwatch()
		s.watching.Wait()
	}

	return s.store.Close()
}

// changes are what a transaction did that others must hear of.
type changes struct {
	// events are durable ones of one conversation, in order.
	events []*eventv1.Event
	turns  []Turn
	// outcomes says that there are new ones.
	outcomes bool
}

// update runs a transaction and then tells whoever waits for what it changed.
func (s *Service) update(ctx context.Context, about About, run func(Tx) (changes, error)) error {
	var done changes

	err := s.store.Update(ctx, about, func(tx Tx) error {
		var err error
		done, err = run(tx)

		return err
	})
	if err != nil {
		return err
	}

	for _, turn := range done.turns {
		s.epochs.note(turn.Turn, s.local())
		s.turns.wake(turn.GetTurnId())
	}

	if len(done.events) > 0 {
		s.hub.publish(done.events[0].GetConversationId(), done.events)
	}

	if done.outcomes {
		s.outcomes.wake(anyOutcome)
	}

	return nil
}

// goingAway is the fault for waiting at a store that stops.
func goingAway() error {
	return fault.New(codes.Unavailable, "DRAINING", "the context store is stopping; ask again").After(time.Second)
}

// now is the time that decides about leases: the store's.
func (s *Service) now(reader Reader) time.Time {
	if s.config.Now != nil {
		return s.config.Now()
	}

	return reader.Now()
}

// local is this process's own time, for what it keeps in memory.
func (s *Service) local() time.Time {
	if s.config.Now != nil {
		return s.config.Now()
	}

	return time.Now()
}

func timestamp(at time.Time) *timestamppb.Timestamp { return timestamppb.New(at) }

// firstOf returns the first text that is not empty.
func firstOf(texts ...string) string { return cmp.Or(texts...) }
