package agent

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	handoffv1 "github.com/serinhq/serin/gen/serin/handoff/v1"
	"github.com/serinhq/serin/internal/fault"
	"github.com/serinhq/serin/internal/rpc"
)

// acquireTimeout bounds AcquireLease, which outlives the RPC that asked for it: a lease without an executor helps nobody.
const acquireTimeout = 10 * time.Second

// tenure is one execution of a turn by this process, under one lease. Whoever hands the turn over meanwhile joins it.
type tenure struct {
	turnID       string
	conversation string
	// holder is who has the lease: no other tenure of this process, so that one which lost it can't write under the next one's.
	holder string
	leave  func()

	// ready is closed once the lease is held, or could not be had (err).
	ready chan struct{}
	err   error
	lease *contextv1.AcquireLeaseResponse
	agent string
	short string

	// done is closed once the segment has ended for this process.
	done    chan struct{}
	outcome handoffv1.Finished_Outcome
	next    string
	// route is how the mesh brings the next agent the turn.
	route rpc.Route
	// last is the last sequence that this tenure appended.
	last int64
}

// take returns the turn's tenure in this process, after it got its lease: the one that exists, or a new one.
func (s *Service) take(ctx context.Context, request *handoffv1.HandoffRequest) (*tenure, error) {
	taken, mine, err := s.reserve(request)
	if err != nil {
		return nil, err
	}

	if mine {
		go s.serve(context.WithoutCancel(ctx), taken)
	}

	select {
	case <-taken.ready:
		return taken, taken.err
	case <-ctx.Done():
		return nil, fault.From(ctx.Err())
	}
}

// reserve finds the turn's tenure or makes its place.
func (s *Service) reserve(request *handoffv1.HandoffRequest) (taken *tenure, mine bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()

	if taken, ok := s.tenures[request.GetTurnId()]; ok {
		return taken, false, nil
	}

	if limit := int(s.config.Agent.Spec.Scaling.MaxConcurrentSegments); len(s.tenures) >= limit {
		return nil, false, fault.New(codes.ResourceExhausted, "AGENT_BUSY",
			"%s runs as many segments as it may (%d); try again", s.name, limit).
			With(rpc.BusyRevision, s.revision).After(100 * time.Millisecond)
	}

	leave, err := s.gate.Enter()
	if err != nil {
		return nil, false, err
	}

	s.taken++
	taken = &tenure{
		turnID: request.GetTurnId(), conversation: request.GetConversationId(), agent: s.name, short: s.revision,
		holder: fmt.Sprintf("%s/%d", s.config.Instance, s.taken),
		leave:  leave, ready: make(chan struct{}), done: make(chan struct{}),
	}
	s.tenures[taken.turnID] = taken
	s.background.Add(1) // under the lock that closing the gate takes, so that a drain waits for it

	return taken, true, nil
}

// serve acquires the lease and executes the segment, detached from the RPC that asked for it.
func (s *Service) serve(ctx context.Context, t *tenure) {
	defer s.background.Done()
	defer t.leave()

	if t.lease, t.err = s.acquire(ctx, t); t.err != nil {
		s.forget(t)
		close(t.ready)

		return
	}

	close(t.ready)
	s.metrics.begin(ctx)

	began := time.Now()
	ctx, span := s.beginSegment(ctx, t)
	s.execute(ctx, t)
	endSegment(span, t.outcome)
	s.metrics.end(ctx, began, t.outcome)
	s.forget(t)
	close(t.done)

	if t.outcome == handoffv1.Finished_OUTCOME_HANDED_OFF {
		s.passOn(ctx, t)
	}
}

func (s *Service) acquire(ctx context.Context, t *tenure) (*contextv1.AcquireLeaseResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, acquireTimeout)
	defer cancel()

	acquired, err := s.config.Context.AcquireLease(ctx, &contextv1.AcquireLeaseRequest{
		TurnId: t.turnID, Agent: s.name, Revision: s.revision, Holder: t.holder,
		Ttl: durationpb.New(s.config.LeaseTTL),
	})
	if err != nil {
		return nil, fault.From(err)
	}

	return acquired, nil
}

func (s *Service) forget(t *tenure) {
	s.mu.Lock()
	defer s.mu.Unlock()

	delete(s.tenures, t.turnID)
}

func (t *tenure) ref() *contextv1.LeaseRef {
	return &contextv1.LeaseRef{TurnId: t.turnID, Epoch: t.lease.GetTurn().GetEpoch()}
}

func (t *tenure) accepted() *handoffv1.HandoffResponse {
	return &handoffv1.HandoffResponse{Report: &handoffv1.HandoffResponse_Accepted{Accepted: &handoffv1.Accepted{
		Agent: t.agent, Revision: t.short, Epoch: t.lease.GetTurn().GetEpoch(),
	}}}
}

// finished may be asked for once done is closed.
func (t *tenure) finished() *handoffv1.HandoffResponse {
	return &handoffv1.HandoffResponse{Report: &handoffv1.HandoffResponse_Finished{Finished: &handoffv1.Finished{
		Outcome: t.outcome, NextAgent: t.next,
	}}}
}
