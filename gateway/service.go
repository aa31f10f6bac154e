package gateway

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	conversationv1 "github.com/serinhq/serin/gen/serin/conversation/v1"
	memoryv1 "github.com/serinhq/serin/gen/serin/memory/v1"
	rolloutv1 "github.com/serinhq/serin/gen/serin/rollout/v1"
	"github.com/serinhq/serin/internal/fault"
)

// Service is the gateway. Make one with [New], run its dispatcher with [Service.Run], and end it with [Service.Close].
type Service struct {
	cfg      Config
	log      *slog.Logger
	store    contextv1.ContextServiceClient
	agents   roster
	dispatch *dispatcher
	metrics  *metrics
	origins  *http.CrossOriginProtection

	perClient *limiter
	perToken  *limiter
	records   records

	// draining ends when streams shall end, stopping when calls that wait for a turn shall.
	draining context.Context
	drain    context.CancelFunc
	stopping context.Context
	stop     context.CancelFunc
}

// New makes a gateway. Turns are dispatched from now on; turns of others are looked for while Run runs.
func New(cfg Config) (*Service, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}

	instruments, err := newMetrics(cfg.Telemetry.Meter)
	if err != nil {
		return nil, err
	}

	s := &Service{
		cfg: cfg, log: cfg.Telemetry.Logger, store: cfg.Context, metrics: instruments,
		dispatch: newDispatcher(cfg, instruments),
	}
	if err := s.protect(); err != nil {
		return nil, err
	}

	if err := s.SetAgents(cfg.Agents); err != nil {
		return nil, err
	}

	s.watchRedis()

	s.draining, s.drain = context.WithCancel(context.Background())
	s.stopping, s.stop = context.WithCancel(context.Background())

	return s, nil
}

// protect makes what keeps outsiders at bay, and what they ask for from being done twice.
func (s *Service) protect() error {
	var errs [4]error

	s.origins, errs[0] = newProtection(s.cfg.Door.Origins)
	limits := s.sharing("limits", cmp.Or(s.cfg.Door.Redis.Limits, Open))
	s.perClient, errs[1] = newLimiter(s.cfg.Door.PerClient, "client", limits)
	s.perToken, errs[2] = newLimiter(s.cfg.Door.PerToken, "token", limits)
	s.records, errs[3] = newRecords(s.sharing("keys", cmp.Or(s.cfg.Door.Redis.Keys, Closed)))

	return errors.Join(errs[:]...)
}

// Register serves ConversationService, MemoryService and RolloutService on a gRPC server. Calls are authenticated by their metadata.
func (s *Service) Register(registrar grpc.ServiceRegistrar) {
	conversationv1.RegisterConversationServiceServer(registrar, guarded{Service: s})
	memoryv1.RegisterMemoryServiceServer(registrar, memories{Service: s})
	rolloutv1.RegisterRolloutServiceServer(registrar, rollouts{Service: s})
}

// Run looks for turns that nobody executes, and for changes of the token file, until the context ends. Then it drains:
// streams end, new messages are refused with UNAVAILABLE (DRAINING), dispatching stops (agents go on with what they
// took). It returns nil.
func (s *Service) Run(ctx context.Context) error {
	ticker := time.NewTicker(s.cfg.DispatchInterval)
	defer ticker.Stop()

	for {
		s.dispatch.poll(ctx)
		s.reloadTokens(ctx)

		select {
		case <-ctx.Done():
			s.Drain()
			s.dispatch.close()

			return nil
		case <-ticker.C:
		}
	}
}

// Drain ends streams and refuses new messages. Calls that wait for a turn's end go on for Config.DrainGrace.
func (s *Service) Drain() {
	if s.draining.Err() != nil {
		return
	}

	s.drain()
	time.AfterFunc(s.cfg.DrainGrace, s.stop)
}

// Close drains without grace and waits until nothing is dispatched any more.
func (s *Service) Close() error {
	s.drain()
	s.stop()
	s.dispatch.close()

	return nil
}

// reasonDraining is that of errors which say that the gateway shuts down.
const reasonDraining = "DRAINING"

func errDraining() error {
	return fault.New(codes.Unavailable, reasonDraining, "the gateway is shutting down; try again").After(time.Second)
}

func (s *Service) reloadTokens(ctx context.Context) {
	if s.cfg.Tokens == nil {
		return
	}

	changed, err := s.cfg.Tokens.Refresh()

	switch {
	case err != nil:
		s.log.ErrorContext(ctx, "token file not taken; the tokens before stay valid", "error", err.Error())
	case changed:
		s.log.InfoContext(ctx, "token file taken again")
	}
}
