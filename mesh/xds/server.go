package xds

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"

	"github.com/serinhq/serin/internal/rpc"
	"github.com/serinhq/serin/mesh/xds/objects"
)

// Store is what the server needs of [objects.Store].
type Store interface {
	Snapshot() objects.Snapshot
	Changed() <-chan struct{}
	SetStatus(kind, namespace, name string, generation int64, conditions ...objects.Condition) error
}

// Config makes a [Server]. Zero values are the defaults, but for Objects.
type Config struct {
	// Objects are what is translated; required.
	Objects Store
	// Directory keeps which versions of objects are in force, for the next start; it may be that of the objects, and is
	// made if missing. Empty means that what has a problem after a start has no last good version.
	Directory string
	// TrustDomain is that of all workloads; default cluster.local.
	TrustDomain string
	// RootNamespace holds policies for all namespaces; default istio-system.
	RootNamespace string
	// Identity says who the peer of a stream is; default is the workload that [rpc.Peer] knows.
	Identity func(ctx context.Context) (namespace, name string, ok bool)
	// Coalesce is how long a change waits for others; default 1 ms.
	Coalesce time.Duration
	// AckTimeout is how long a stream may take to answer a response before it is closed; default 15 s.
	AckTimeout time.Duration
	// Settle is how long a change waits for streams to come back before it may count as known to everyone, if it is
	// from before the start, or there were ready workloads then; default 3 s.
	Settle time.Duration
	// ReturnLimit is how long after the start changes wait for those workloads at the most; default 15 s.
	ReturnLimit time.Duration
	// Logger; default none.
	Logger *slog.Logger
}

// Server is the control plane's ADS server. Make it with [New].
type Server struct {
	discoveryv3.UnimplementedAggregatedDiscoveryServiceServer

	config     Config
	translator *translator
	keeper     *keeper
	reconciler *reconciler
	returning  *returning

	world atomic.Pointer[world]
	// review is poked when a stream learned something that an object may wait for.
	review  chan struct{}
	done    chan struct{}
	stopped func()

	mu      sync.Mutex
	streams map[*stream]struct{}
	lastID  uint64
}

// world is what everyone should know.
type world struct {
	version   uint64
	resources Resources
}

// New makes a server and translates what there is, so that it can serve at once.
func New(config Config) (*Server, error) {
	if config.Objects == nil {
		return nil, errors.New("xds: Config.Objects is required")
	}

	config = config.withDefaults()
	translator := newTranslator(Options{TrustDomain: config.TrustDomain, RootNamespace: config.RootNamespace})

	keeper, err := openKeeper(config.Directory, config.Logger)
	if err == nil {
		err = keeper.restore(translator)
	}

	if err != nil {
		return nil, fmt.Errorf("xds: %w", err)
	}

	done, start := make(chan struct{}), time.Now()
	s := &Server{
		config:     config,
		translator: translator,
		keeper:     keeper,
		reconciler: newReconciler(start.Add(config.Settle)),
		returning:  &returning{settled: start.Add(config.Settle), limit: start.Add(config.ReturnLimit)},
		review:     make(chan struct{}, 1),
		done:       done, stopped: sync.OnceFunc(func() { close(done) }),
		streams: map[*stream]struct{}{},
	}
	s.publish(config.Objects.Snapshot())

	return s, nil
}

func (c Config) withDefaults() Config {
	if c.Identity == nil {
		c.Identity = peerIdentity
	}

	if c.Coalesce == 0 {
		c.Coalesce = time.Millisecond
	}

	if c.AckTimeout == 0 {
		c.AckTimeout = 15 * time.Second
	}

	if c.Settle == 0 {
		c.Settle = 3 * time.Second
	}

	if c.ReturnLimit == 0 {
		c.ReturnLimit = 15 * time.Second
	}

	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}

	return c
}

func peerIdentity(ctx context.Context) (namespace, name string, ok bool) {
	id, ok := rpc.Peer(ctx)

	return id.Namespace, id.Name, ok
}

// Register adds AggregatedDiscoveryService to a gRPC server.
func (s *Server) Register(registrar grpc.ServiceRegistrar) {
	discoveryv3.RegisterAggregatedDiscoveryServiceServer(registrar, s)
}

// Run translates and publishes every change, and writes into objects whether everyone knows them, until ctx ends; then
// it ends all streams. It returns nil.
func (s *Server) Run(ctx context.Context) error {
	defer s.stopped()

	tick := time.NewTicker(time.Second)
	defer tick.Stop()

	changed := s.config.Objects.Changed()
	s.publish(s.config.Objects.Snapshot())
	s.reconcile()

	for {
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
			if !pause(ctx, s.config.Coalesce) {
				return nil
			}

			changed = s.config.Objects.Changed()
			s.publish(s.config.Objects.Snapshot())
			s.reconcile()
		case <-s.review:
			s.reconcile()
		case <-tick.C:
			s.reconcile()
		}
	}
}

func pause(ctx context.Context, long time.Duration) bool {
	timer := time.NewTimer(long)
	defer timer.Stop()

	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// publish translates a snapshot and wakes every stream.
func (s *Server) publish(snapshot objects.Snapshot) {
	resources, problems := s.translator.translate(snapshot)
	s.keeper.keep(s.translator) // first: what anyone was told is known after a crash
	s.returning.note(snapshot.WorkloadEntries)

	for _, problem := range s.reconciler.note(snapshot, resources, problems) {
		s.config.Logger.Warn("an object is not in force as it is written", "object", problem.Object.String(),
			"field", problem.Field, "problem", problem.Message)
	}

	s.world.Store(&world{snapshot.Version, resources})

	for _, stream := range s.open() {
		stream.poke()
	}
}

// open are the streams that there are.
func (s *Server) open() []*stream {
	s.mu.Lock()
	defer s.mu.Unlock()

	return slices.SortedFunc(maps.Keys(s.streams), func(a, b *stream) int { return int(a.id) - int(b.id) }) //nolint:gosec // few
}

// learned asks for a review.
func (s *Server) learned() {
	select {
	case s.review <- struct{}{}:
	default:
	}
}
