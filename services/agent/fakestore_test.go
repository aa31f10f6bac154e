package agent

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
	"github.com/serinhq/serin/internal/fault"
)

// fakeStore keeps one conversation in memory with the guarantees that ContextService gives.
type fakeStore struct {
	contextv1.UnimplementedContextServiceServer

	mu       sync.Mutex
	changed  chan struct{}
	grace    time.Duration
	events   []*eventv1.Event
	shown    []*eventv1.Event
	requests map[string]*contextv1.AppendResponse
	turn     *contextv1.Turn
	phase    string
	reserved int64
	calls    map[string]*fakeCall
	saved    *contextv1.Checkpoint
	cancel   *eventv1.CancelRequested
	pins     map[string]string // agent -> revision
	// claimFor is how long nobody else's word about a claimed call is taken. late is the result that a lost tool service
	// brings then, after all.
	claimFor time.Duration
	late     *eventv1.ToolResult
	// deleted says that the conversation was deleted.
	deleted bool
}

type fakeCall struct {
	tool, arguments string
	holder          string
	claimed         bool
	until           time.Time
	unknown         bool
	result          *eventv1.ToolResult
	asked           map[eventv1.InputRequested_Kind]eventv1.Decision
}

const conversation = "c1"

func newFakeStore() *fakeStore {
	return &fakeStore{
		changed: make(chan struct{}), grace: 30 * time.Millisecond,
		requests: map[string]*contextv1.AppendResponse{}, calls: map[string]*fakeCall{}, pins: map[string]string{},
	}
}

func precondition(reason string) error {
	return fault.New(codes.FailedPrecondition, reason, "refused: %s", reason)
}

// update runs fn under the lock and wakes everyone who watches.
func (s *fakeStore) update(fn func()) {
	s.mu.Lock()
	defer s.mu.Unlock()

	fn()
	close(s.changed)
	s.changed = make(chan struct{})
}

// accept begins a turn as the gateway does.
func (s *fakeStore) accept(turnID, agent, text string, deadline time.Duration, budget *eventv1.Budget) {
	s.update(func() {
		s.cancel, s.phase, s.reserved = nil, "fresh", 0
		s.turn = &contextv1.Turn{
			TurnId: turnID, ConversationId: conversation, Tenant: "acme", Agent: agent, Epoch: 1, Budget: budget, Spent: &eventv1.Budget{},
			Status: contextv1.TurnStatus_TURN_STATUS_RUNNING, Deadline: timestamppb.New(time.Now().Add(deadline)),
			LeaseExpiresAt: timestamppb.Now(), Visited: []*contextv1.Visit{{Agent: agent}},
		}
		s.log(&eventv1.Event{Kind: &eventv1.Event_TurnAccepted{TurnAccepted: &eventv1.TurnAccepted{
			Text: text, Deadline: s.turn.GetDeadline(), Budget: budget,
		}}})
		s.turn.AcceptedSequence = int64(len(s.events))
	})
}

// view is a copy of the turn with the revision that its owner must have.
func (s *fakeStore) view() *contextv1.Turn {
	turn := proto.CloneOf(s.turn)
	turn.PinnedRevision = s.pins[turn.GetAgent()]

	return turn
}

// pin makes the conversation keep a revision.
func (s *fakeStore) pin(agent, revision string) {
	s.update(func() { s.pins[agent] = revision })
}

func (s *fakeStore) log(event *eventv1.Event) {
	event.Sequence, event.ConversationId, event.Time = int64(len(s.events)+1), conversation, timestamppb.Now()
	event.TurnId, event.Epoch = s.turn.GetTurnId(), s.turn.GetEpoch()
	s.events = append(s.events, event)
}

func (s *fakeStore) held(lease *contextv1.LeaseRef) error {
	switch {
	case s.deleted:
		return fault.New(codes.NotFound, "CONVERSATION_NOT_FOUND", "conversation_id: there is no conversation %q", conversation)
	case s.turn.GetTurnId() != lease.GetTurnId() || s.turn.GetStatus() >= contextv1.TurnStatus_TURN_STATUS_COMPLETED:
		return precondition("TURN_ENDED")
	case s.turn.GetEpoch() != lease.GetEpoch() || s.turn.GetLeaseHolder() == "":
		return precondition("STALE_EPOCH")
	default:
		return nil
	}
}

func (s *fakeStore) Append(_ context.Context, request *contextv1.AppendRequest) (answer *contextv1.AppendResponse, err error) {
	s.update(func() {
		if first, ok := s.requests[request.GetRequestId()]; ok {
			answer = first

			return
		}

		if err = s.held(request.GetLease()); err != nil {
			return
		}

		before := len(s.events)

		for _, event := range request.GetEvents() {
			event = proto.CloneOf(event)
			s.log(event)

			if err = s.apply(event); err != nil {
				s.events = s.events[:before]
				s.comeLate(event.GetToolResult())

				return
			}
		}

		answer = &contextv1.AppendResponse{Version: int64(len(s.events)), Turn: s.view()}
		s.requests[request.GetRequestId()] = answer
	})

	return answer, err
}

func (s *fakeStore) apply(event *eventv1.Event) error {
	switch kind := event.GetKind().(type) {
	case *eventv1.Event_StepStarted:
		s.reserved = kind.StepStarted.GetReservedTokens()
		s.turn.Spent.Steps++
		s.turn.Spent.Tokens += s.reserved
	case *eventv1.Event_AgentMessage:
		usage := kind.AgentMessage.GetUsage()
		s.turn.Spent.Tokens += usage.GetInputTokens() + usage.GetOutputTokens() - s.reserved
		s.reserved = 0

		for _, call := range kind.AgentMessage.GetToolCalls() {
			if s.calls[call.GetCallId()] != nil {
				return precondition("CALL_EXISTS")
			}

			s.calls[call.GetCallId()] = &fakeCall{
				tool: call.GetTool(), arguments: call.GetArguments(), asked: map[eventv1.InputRequested_Kind]eventv1.Decision{},
			}
		}
	case *eventv1.Event_ToolResult:
		call := s.calls[kind.ToolResult.GetCallId()]
		if err := call.recordable(s.late != nil); err != nil {
			return err
		}

		call.result = kind.ToolResult
	case *eventv1.Event_InputRequested:
		s.calls[kind.InputRequested.GetCallId()].asked[kind.InputRequested.GetKind()] = 0
	case *eventv1.Event_TurnWaiting:
		s.turn.Status, s.phase = contextv1.TurnStatus_TURN_STATUS_INPUT_REQUIRED, "answered"
		s.turn.WaitingCallIds = kind.TurnWaiting.GetCallIds()
		s.release(0)
	case *eventv1.Event_Handoff:
		s.turn.Agent, s.phase = kind.Handoff.GetToAgent(), "fresh"
		s.turn.Epoch++
		s.turn.Spent.Hops++
		s.release(s.grace)
	case *eventv1.Event_TurnCompleted:
		s.turn.Status = contextv1.TurnStatus_TURN_STATUS_COMPLETED
	case *eventv1.Event_TurnFailed:
		s.turn.Status = contextv1.TurnStatus_TURN_STATUS_FAILED
	case *eventv1.Event_TurnCancelled:
		s.turn.Status = contextv1.TurnStatus_TURN_STATUS_CANCELLED
	}

	return nil
}

// recordable says whether an agent's word about a call is taken.
func (c *fakeCall) recordable(late bool) error {
	wait := time.Until(c.until)

	switch {
	case c.result != nil || late:
		return precondition("CALL_COMPLETED")
	case c.claimed && wait > 0:
		return fault.New(codes.FailedPrecondition, "CALL_IN_PROGRESS", "it may still tell").After(wait)
	case c.claimed && c.asked[eventv1.InputRequested_KIND_OUTCOME] == 0:
		return precondition("OUTCOME_NOT_KNOWN")
	default:
		return nil
	}
}

// comeLate has the late result be there instead of the refused one.
func (s *fakeStore) comeLate(refused *eventv1.ToolResult) {
	if s.late == nil || refused == nil {
		return
	}

	s.late.CallId = refused.GetCallId()
	s.calls[refused.GetCallId()].result = s.late
	s.log(&eventv1.Event{Kind: &eventv1.Event_ToolResult{ToolResult: s.late}})
	s.late = nil
}

func (s *fakeStore) release(after time.Duration) {
	s.turn.LeaseHolder, s.turn.LeaseExpiresAt = "", timestamppb.New(time.Now().Add(after))
}

func (s *fakeStore) AcquireLease(
	_ context.Context, request *contextv1.AcquireLeaseRequest,
) (answer *contextv1.AcquireLeaseResponse, err error) {
	s.update(func() {
		live := s.turn.GetLeaseHolder() != "" && s.turn.GetLeaseExpiresAt().AsTime().After(time.Now())

		switch {
		case s.turn.GetTurnId() != request.GetTurnId() || s.turn.GetStatus() >= contextv1.TurnStatus_TURN_STATUS_COMPLETED:
			err = precondition("TURN_ENDED")
		case s.turn.GetStatus() == contextv1.TurnStatus_TURN_STATUS_INPUT_REQUIRED:
			err = precondition("TURN_WAITING")
		case s.turn.GetAgent() != request.GetAgent():
			err = precondition("NOT_OWNER")
		case s.pins[request.GetAgent()] != "" && s.pins[request.GetAgent()] != request.GetRevision():
			err = fault.From(precondition("WRONG_REVISION")).With("pinned_revision", s.pins[request.GetAgent()])
		case live && s.turn.GetLeaseHolder() != request.GetHolder():
			err = precondition("LEASE_HELD")
		}

		if err != nil {
			return
		}

		s.pins[request.GetAgent()] = request.GetRevision()

		if !live {
			s.turn.Epoch++
			s.begin(request.GetAgent())
		}

		s.turn.LeaseHolder = request.GetHolder()
		s.turn.LeaseExpiresAt = timestamppb.New(time.Now().Add(request.GetTtl().AsDuration()))
		answer = &contextv1.AcquireLeaseResponse{
			Turn: s.view(), Version: int64(len(s.events)), Checkpoint: proto.CloneOf(s.saved),
		}
	})

	return answer, err
}

func (s *fakeStore) begin(agent string) {
	event := &eventv1.Event{Agent: agent}

	switch s.phase {
	case "fresh":
		s.turn.Segment++
		event.Kind = &eventv1.Event_SegmentStarted{SegmentStarted: &eventv1.SegmentStarted{Agent: agent}}
	case "answered":
		event.Kind = &eventv1.Event_SegmentResumed{SegmentResumed: &eventv1.SegmentResumed{Agent: agent}}
	default:
		event.Kind = &eventv1.Event_SegmentRestarted{SegmentRestarted: &eventv1.SegmentRestarted{Agent: agent}}
	}

	s.phase, event.Segment = "executing", s.turn.GetSegment()
	s.log(event)
}

func (s *fakeStore) RenewLease(ctx context.Context, request *contextv1.RenewLeaseRequest) (*contextv1.RenewLeaseResponse, error) {
	timer := time.NewTimer(request.GetWait().AsDuration())
	defer timer.Stop()

	for waited := false; ; {
		s.mu.Lock()
		err := s.held(request.GetLease())
		s.turn.LeaseExpiresAt = timestamppb.New(time.Now().Add(request.GetTtl().AsDuration()))
		answer := &contextv1.RenewLeaseResponse{
			ExpiresAt: s.turn.GetLeaseExpiresAt(), CancelRequested: s.turn.GetCancelRequested(),
			CancelBy: s.cancel.GetBy(), CancelReason: s.cancel.GetReason(),
		}
		changed := s.changed
		s.mu.Unlock()

		if err != nil || answer.GetCancelRequested() || waited {
			return answer, err
		}

		select {
		case <-changed:
		case <-timer.C:
			waited = true
		case <-ctx.Done():
			return nil, fault.From(ctx.Err())
		}
	}
}

func (s *fakeStore) ReleaseLease(_ context.Context, request *contextv1.ReleaseLeaseRequest) (_ *contextv1.ReleaseLeaseResponse, err error) {
	s.update(func() {
		if err = s.held(request.GetLease()); err == nil {
			s.release(0)
		}
	})

	return &contextv1.ReleaseLeaseResponse{}, err
}

func (s *fakeStore) ReadEvents(_ context.Context, request *contextv1.ReadEventsRequest) (*contextv1.ReadEventsResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()

	from := int(max(1, request.GetFromSequence())) - 1
	to := min(len(s.events), from+int(request.GetLimit()))

	return &contextv1.ReadEventsResponse{Events: slices.Clone(s.events[min(from, to):to]), Version: int64(len(s.events))}, nil
}

func (s *fakeStore) FollowEvents(
	request *contextv1.FollowEventsRequest, stream grpc.ServerStreamingServer[contextv1.FollowEventsResponse],
) error {
	next, shown := int(request.GetFromSequence()), 0

	for {
		s.mu.Lock()
		fresh := slices.Concat(s.shown[shown:], s.events[min(len(s.events), next-1):])
		next, shown = len(s.events)+1, len(s.shown)
		changed := s.changed
		s.mu.Unlock()

		if len(fresh) > 0 {
			if err := stream.Send(&contextv1.FollowEventsResponse{Events: fresh}); err != nil {
				return err
			}
		}

		select {
		case <-changed:
		case <-stream.Context().Done():
			return nil
		}
	}
}

func (s *fakeStore) Publish(stream grpc.ClientStreamingServer[contextv1.PublishRequest, contextv1.PublishResponse]) error {
	for {
		request, err := stream.Recv()
		if err != nil {
			return nil //nolint:nilerr // the publisher went away
		}

		s.update(func() {
			if s.held(request.GetLease()) == nil {
				s.shown = append(s.shown, request.GetEvents()...)
			}
		})
	}
}

func (s *fakeStore) SaveCheckpoint(
	_ context.Context, request *contextv1.SaveCheckpointRequest,
) (_ *contextv1.SaveCheckpointResponse, err error) {
	s.update(func() {
		if err = s.held(request.GetLease()); err == nil {
			s.saved = request.GetCheckpoint()
		}
	})

	return &contextv1.SaveCheckpointResponse{}, err
}

// claim decides as ClaimCall does; a call that was claimed by another holder has an unknown outcome.
func (s *fakeStore) claim(epoch int64, id, holder string, approval bool) (answer *contextv1.ClaimCallResponse, err error) {
	s.update(func() {
		call := s.calls[id]

		switch {
		case call == nil:
			err = precondition("CALL_NOT_PROPOSED")
		case call.result != nil:
			answer = &contextv1.ClaimCallResponse{Status: contextv1.ClaimCallResponse_STATUS_COMPLETED, Result: call.result}
		case s.turn.GetEpoch() != epoch:
			err = precondition("STALE_EPOCH")
		case s.turn.GetCancelRequested():
			err = precondition("CANCEL_REQUESTED")
		case call.unknown || call.claimed && call.holder != holder:
			call.unknown = true
			answer = &contextv1.ClaimCallResponse{Status: contextv1.ClaimCallResponse_STATUS_OUTCOME_UNKNOWN}
		case approval && call.asked[eventv1.InputRequested_KIND_APPROVAL] != eventv1.Decision_DECISION_APPROVE:
			err = precondition("APPROVAL_REQUIRED")
		default:
			call.claimed, call.holder, call.until = true, holder, time.Now().Add(s.claimFor)
			answer = &contextv1.ClaimCallResponse{Status: contextv1.ClaimCallResponse_STATUS_GRANTED}
			s.log(&eventv1.Event{Kind: &eventv1.Event_ToolStarted{ToolStarted: &eventv1.ToolStarted{CallId: id, Tool: call.tool}}})
		}
	})

	return answer, err
}

func (s *fakeStore) complete(result *eventv1.ToolResult) {
	s.update(func() {
		call := s.calls[result.GetCallId()]
		if call.result == nil {
			call.result = result
			s.log(&eventv1.Event{Kind: &eventv1.Event_ToolResult{ToolResult: result}})
		}
	})
}

// resolve answers every open question with the decision that fits its kind; the turn goes on.
func (s *fakeStore) resolve(approval, outcome eventv1.Decision) {
	s.update(func() {
		for _, id := range s.turn.GetWaitingCallIds() {
			for kind, decision := range s.calls[id].asked {
				if decision != 0 {
					continue
				}

				answer := approval
				if kind == eventv1.InputRequested_KIND_OUTCOME {
					answer = outcome
				}

				s.calls[id].asked[kind] = answer
				s.log(&eventv1.Event{Kind: &eventv1.Event_InputResolved{InputResolved: &eventv1.InputResolved{
					CallId: id, Decision: answer, By: "ann",
				}}})
			}
		}

		s.turn.Status, s.turn.WaitingCallIds = contextv1.TurnStatus_TURN_STATUS_RUNNING, nil
		s.release(0)
	})
}

func (s *fakeStore) requestCancel(by string) {
	s.update(func() {
		s.cancel = &eventv1.CancelRequested{By: by, Reason: "enough"}
		s.log(&eventv1.Event{Kind: &eventv1.Event_CancelRequested{CancelRequested: s.cancel}})
		s.turn.CancelRequested = true

		if s.turn.GetStatus() == contextv1.TurnStatus_TURN_STATUS_INPUT_REQUIRED {
			s.turn.Status = contextv1.TurnStatus_TURN_STATUS_RUNNING
			s.release(0)
		}
	})
}

// steal gives the turn to nobody under a new epoch, as a withdrawal with fence does.
func (s *fakeStore) steal() {
	s.update(func() {
		s.turn.Epoch++
		s.release(time.Hour)
	})
}

// expire ends the lease now, as time would.
func (s *fakeStore) expire() {
	s.update(func() { s.turn.LeaseExpiresAt = timestamppb.New(time.Now().Add(-time.Millisecond)) })
}

// resumable is what the dispatcher asks for.
func (s *fakeStore) resumable() (*contextv1.Turn, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()

	running := s.turn.GetStatus() == contextv1.TurnStatus_TURN_STATUS_RUNNING

	return proto.CloneOf(s.turn), running && !s.turn.GetLeaseExpiresAt().AsTime().After(time.Now())
}

func (s *fakeStore) snapshot() ([]*eventv1.Event, *contextv1.Turn, chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()

	return slices.Clone(s.events), proto.CloneOf(s.turn), s.changed
}

// describeLog is the log in the words of a person, without what differs between runs.
func describeLog(events []*eventv1.Event) []string {
	lines := make([]string, len(events))

	for i, event := range events {
		line := string(event.ProtoReflect().WhichOneof(event.ProtoReflect().Descriptor().Oneofs().Get(0)).Name())

		switch kind := event.GetKind().(type) {
		case *eventv1.Event_AgentMessage:
			line += fmt.Sprintf(" %s: %q", event.GetAgent(), kind.AgentMessage.GetText())
			for _, call := range kind.AgentMessage.GetToolCalls() {
				line += " " + call.GetTool()
			}
		case *eventv1.Event_ToolResult:
			line += fmt.Sprintf(" %s %s", kind.ToolResult.GetTool(), kind.ToolResult.GetOutcome())
		case *eventv1.Event_SegmentStarted:
			line += " " + kind.SegmentStarted.GetAgent()
		case *eventv1.Event_TurnFailed:
			line += fmt.Sprintf(" %s: %s", kind.TurnFailed.GetReason(), kind.TurnFailed.GetMessage())
		case *eventv1.Event_GuardrailApplied:
			line += fmt.Sprintf(" %s %s: %s", kind.GuardrailApplied.GetRule(),
				strings.TrimPrefix(kind.GuardrailApplied.GetAction().String(), "ACTION_"), kind.GuardrailApplied.GetMessage())
		}

		lines[i] = line
	}

	return lines
}
