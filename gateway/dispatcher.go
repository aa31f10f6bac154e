package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"google.golang.org/grpc/codes"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
	handoffv1 "github.com/serinhq/serin/gen/serin/handoff/v1"
	"github.com/serinhq/serin/internal/fault"
	"github.com/serinhq/serin/internal/rpc"
	"github.com/serinhq/serin/internal/telemetry"
)

// storeTimeout limits the dispatcher's own calls of the store.
const storeTimeout = 10 * time.Second

// dispatcher brings turns to the agents that own them. A turn is dispatched at most once at a time here; that two
// gateways may do so at once is sorted out by the lease.
type dispatcher struct {
	store   contextv1.ContextServiceClient
	handoff func(agent string) (handoffv1.HandoffServiceClient, error)
	log     *slog.Logger
	metrics *metrics
	limit   int

	ctx    context.Context
	cancel context.CancelFunc

	mu      sync.Mutex
	closed  bool
	flights map[string]*flight
	group   sync.WaitGroup

	// pollFailed is only used by poll, which one goroutine calls.
	pollFailed bool
}

// flight is a turn that is being dispatched.
type flight struct {
	// began is when this dispatcher first saw the turn.
	began time.Time
	// again says that the turn was wanted once more meanwhile: it may have gone on after waiting for a human before the
	// agent's report of the wait arrived here.
	again bool
}

func newDispatcher(cfg Config, instruments *metrics) *dispatcher {
	d := &dispatcher{
		store: cfg.Context, handoff: cfg.Handoff, log: cfg.Telemetry.Logger, metrics: instruments,
		limit: cfg.MaxDispatches, flights: map[string]*flight{},
	}
	d.ctx, d.cancel = context.WithCancel(context.Background())

	return d
}

// close ends all dispatching and waits for it. Agents go on with what they took.
func (d *dispatcher) close() {
	d.mu.Lock()
	d.closed = true
	d.mu.Unlock()

	d.cancel()
	d.group.Wait()
}

// start dispatches a turn in the background. A turn that is being dispatched is looked at once more afterwards.
func (d *dispatcher) start(turn *contextv1.Turn) {
	d.mu.Lock()
	defer d.mu.Unlock()

	if running := d.flights[turn.GetTurnId()]; running != nil {
		running.again = true

		return
	}

	d.take(turn)
}

// take begins a flight if there is room; what finds none is found again by poll. The lock is held.
func (d *dispatcher) take(turn *contextv1.Turn) {
	if d.closed || len(d.flights) >= d.limit || d.flights[turn.GetTurnId()] != nil {
		return
	}

	d.flights[turn.GetTurnId()] = &flight{began: time.Now()}

	d.group.Go(func() { d.fly(turn) })
}

// poll looks once for turns that nobody executes.
func (d *dispatcher) poll(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()

	resumable, err := d.store.ListResumableTurns(ctx, &contextv1.ListResumableTurnsRequest{Limit: pageSize})
	d.notePoll(ctx, err)

	d.mu.Lock()
	defer d.mu.Unlock()

	for _, turn := range resumable.GetTurns() {
		d.take(turn) //nolint:contextcheck // a turn outlives the look that found it
	}
}

// notePoll logs when polling begins to fail and when it works again, not each time.
func (d *dispatcher) notePoll(ctx context.Context, err error) {
	failed := err != nil && !errors.Is(ctx.Err(), context.Canceled)
	if failed == d.pollFailed {
		return
	}

	if d.pollFailed = failed; failed {
		d.log.WarnContext(ctx, "can't look for turns that nobody executes", "error", err.Error())
	} else {
		d.log.InfoContext(ctx, "looking for turns that nobody executes again")
	}
}

func (d *dispatcher) fly(turn *contextv1.Turn) {
	turnID := turn.GetTurnId()

	for turn != nil {
		d.bring(turn)

		turn = nil
		for turn == nil && d.wantedAgain(turnID) {
			turn = d.idle(turnID)
		}
	}
}

// idle returns the turn if it needs an executor, else nil.
func (d *dispatcher) idle(turnID string) *contextv1.Turn {
	turn, err := d.reread(turnID)
	if err != nil || !needsExecutor(turn, time.Now()) {
		return nil
	}

	return turn
}

// wantedAgain ends the flight unless the turn was wanted once more meanwhile.
func (d *dispatcher) wantedAgain(turnID string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()

	running := d.flights[turnID]
	if running.again && !d.closed {
		running.again = false

		return true
	}

	delete(d.flights, turnID)

	return false
}

// bring tries to hand the turn to its owner until an agent took it and its segment ended, or there is no use in trying.
func (d *dispatcher) bring(turn *contextv1.Turn) {
	retry := backoff{}

	for {
		if isOverdue(turn, time.Now()) {
			d.fail(turn, "DEADLINE_EXCEEDED", "the turn took longer than its deadline allows")

			return
		}

		next, err := d.try(turn)

		switch next {
		case verdictLeave:
			return
		case verdictUnavailable:
			d.fail(turn, "AGENT_UNAVAILABLE", fmt.Sprintf("agent %q is not available: %s", turn.GetAgent(), fault.From(err).Message))

			return
		case verdictReread:
			if turn = d.idle(turn.GetTurnId()); turn == nil {
				return
			}
		case verdictRetry:
			d.log.InfoContext(d.ctx, "turn not taken yet; trying again",
				"turn", turn.GetTurnId(), "agent", turn.GetAgent(), "error", err.Error())

			if revision, _ := rpc.Busy(err); turn.GetPinnedRevision() == "" {
				turn.PinnedRevision = revision
			}
		}

		if !retry.wait(d.ctx) {
			return
		}
	}
}

// try hands the turn over once, and stays until the segment's end is reported.
func (d *dispatcher) try(turn *contextv1.Turn) (verdict, error) {
	agent, err := d.handoff(turn.GetAgent())
	if err != nil {
		return judgeAgent(err), err
	}

	ctx, cancel := context.WithDeadline(d.ctx, turn.GetDeadline().AsTime().Add(time.Second))
	defer cancel()

	err = handOver(ctx, agent, turn)
	if d.ctx.Err() != nil {
		return verdictLeave, d.ctx.Err()
	}

	return judge(err), err
}

// handOver asks the revision that the conversation keeps, if it keeps one already. It belongs to the turn's trace, whoever
// had the turn dispatched.
func handOver(ctx context.Context, agent handoffv1.HandoffServiceClient, turn *contextv1.Turn) error {
	ctx = telemetry.Rejoin(ctx, turn.GetTraceparent())
	ctx = rpc.WithRoute(ctx, rpc.Route{Revision: turn.GetPinnedRevision(), Tenant: turn.GetTenant()})

	stream, err := agent.Handoff(ctx, &handoffv1.HandoffRequest{
		ConversationId: turn.GetConversationId(), TurnId: turn.GetTurnId(), ToAgent: turn.GetAgent(),
	})
	if err != nil {
		return err
	}

	for {
		report, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return fault.New(codes.Unavailable, "SEGMENT_UNREPORTED", "the agent's report ended early")
		}

		if err != nil {
			return err
		}

		if report.GetFinished() != nil {
			return nil
		}
	}
}

func (d *dispatcher) reread(turnID string) (*contextv1.Turn, error) {
	ctx, cancel := context.WithTimeout(d.ctx, storeTimeout)
	defer cancel()

	got, err := d.store.GetTurn(ctx, &contextv1.GetTurnRequest{TurnId: turnID})
	if err != nil {
		return nil, err
	}

	return got.GetTurn(), nil
}

// fail ends a turn that nobody executes. The epoch makes sure that it is still the turn that was looked at; what the
// store refuses, the next look takes up again.
func (d *dispatcher) fail(turn *contextv1.Turn, reason, message string) {
	ctx, cancel := context.WithTimeout(telemetry.Rejoin(d.ctx, turn.GetTraceparent()), storeTimeout)
	defer cancel()

	appended, err := d.store.Append(ctx, &contextv1.AppendRequest{
		ConversationId: turn.GetConversationId(),
		RequestId:      fmt.Sprintf("fail/%s/%d", turn.GetTurnId(), turn.GetEpoch()),
		RequestDigest:  "fail",
		Lease:          &contextv1.LeaseRef{TurnId: turn.GetTurnId(), Epoch: turn.GetEpoch()},
		Events: []*eventv1.Event{{
			TurnId: turn.GetTurnId(), Epoch: turn.GetEpoch(), Segment: turn.GetSegment(),
			Kind: &eventv1.Event_TurnFailed{TurnFailed: &eventv1.TurnFailed{Reason: reason, Message: message}},
		}},
	})
	if err != nil {
		d.log.InfoContext(d.ctx, "turn not failed: the store refused", "turn", turn.GetTurnId(), "error", err.Error())

		return
	}

	if !appended.GetReplayed() { // else another gateway ended it
		d.metrics.turnFailed(ctx, turn.GetAgent(), time.Since(d.accepted(ctx, turn)))
	}

	d.log.WarnContext(d.ctx, "turn failed", "turn", turn.GetTurnId(), "agent", turn.GetAgent(), "reason", reason, "message", message)
}

// accepted is when the turn was accepted, or else when it was first seen here.
func (d *dispatcher) accepted(ctx context.Context, turn *contextv1.Turn) time.Time {
	page, err := d.store.ReadEvents(ctx, &contextv1.ReadEventsRequest{
		ConversationId: turn.GetConversationId(), FromSequence: turn.GetAcceptedSequence(), Limit: 1,
	})
	if err == nil && len(page.GetEvents()) == 1 {
		return page.GetEvents()[0].GetTime().AsTime()
	}

	d.mu.Lock()
	defer d.mu.Unlock()

	return d.flights[turn.GetTurnId()].began
}
