package gateway

import (
	"context"
	"strconv"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/timestamppb"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	conversationv1 "github.com/serinhq/serin/gen/serin/conversation/v1"
	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
	"github.com/serinhq/serin/internal/fault"
	"github.com/serinhq/serin/internal/telemetry"
)

// turnHeader names the turn in the header of a message's stream, over gRPC and over REST.
const turnHeader = "serin-turn-id"

// settleGrace is how long a call waits for a turn's end beyond its deadline: someone else may have to end it.
const settleGrace = 30 * time.Second

// message is what SendMessageRequest and StreamMessageRequest have in common.
type message interface {
	GetConversationId() string
	GetText() string
	GetIdempotencyKey() string
}

// taken is a message that is in the log.
type taken struct {
	conversationID string
	turn           *contextv1.Turn
	// from is the sequence of the turn's first event, known that of the last event which is known to exist.
	from, known int64
}

func (s *Service) sendMessage(ctx context.Context, principal Principal, req *conversationv1.SendMessageRequest) (*conversationv1.SendMessageResponse, error) {
	msg, err := s.take(ctx, principal, req)
	if err != nil {
		return nil, err
	}

	ctx, cancel := s.waiting(ctx, msg.turn)
	defer cancel()

	fold := newTurnFold(msg.turn.GetTurnId(), msg.turn.GetAgent())

	err = s.follow(ctx, &follower{
		conversationID: msg.conversationID, next: msg.from,
		emit: func(events []*eventv1.Event) (bool, error) {
			for _, event := range events {
				if fold.apply(event); fold.settled(event.GetSequence(), msg.known) {
					return true, nil
				}
			}

			return false, nil
		},
	})
	if err != nil {
		return nil, msg.unsettled(err)
	}

	return &conversationv1.SendMessageResponse{Turn: fold.view()}, nil
}

func (s *Service) streamMessage(ctx context.Context, principal Principal, req *conversationv1.StreamMessageRequest, stream grpc.ServerStreamingServer[conversationv1.StreamMessageResponse]) error {
	seen, err := lastEventID(ctx)
	if err != nil {
		return err
	}

	msg, err := s.take(ctx, principal, req)
	if err != nil {
		return err
	}

	if err := stream.SendHeader(metadata.Pairs(turnHeader, msg.turn.GetTurnId())); err != nil {
		return err
	}

	fold := newTurnFold(msg.turn.GetTurnId(), msg.turn.GetAgent())

	err = s.follow(ctx, &follower{
		conversationID: msg.conversationID, next: msg.from, transient: true,
		emit: func(events []*eventv1.Event) (bool, error) {
			defer flush(stream)

			for _, event := range events {
				if fold.concerns(event) && (event.GetSequence() == 0 || event.GetSequence() > seen) {
					if err := stream.Send(&conversationv1.StreamMessageResponse{Event: event}); err != nil {
						return false, err
					}
				}

				if fold.apply(event); fold.settled(event.GetSequence(), msg.known) {
					return true, nil
				}
			}

			return false, nil
		},
	})
	if err != nil {
		return msg.unsettled(drained(ctx, err))
	}

	return nil
}

// take puts the message into the log and has the turn dispatched. A message that was taken before is found again. It is not
// given up halfway, whoever hangs up or drains: then nobody would know whether the message was taken.
func (s *Service) take(ctx context.Context, principal Principal, req message) (*taken, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.cfg.RequestTimeout)
	defer cancel()

	if s.draining.Err() != nil {
		return nil, errDraining()
	}

	key, err := idempotencyKey(ctx, req.GetIdempotencyKey())
	if err != nil {
		return nil, err
	}

	conversation, err := s.conversation(ctx, principal, req.GetConversationId())
	if err != nil {
		return nil, err
	}

	agent, err := s.agents.heir(conversation.GetAgent())
	if err != nil {
		return nil, err
	}

	request := acceptance(principal, conversation, agent, req.GetText(), key)
	request.GetEvents()[0].GetTurnAccepted().Traceparent = telemetry.Traceparent(ctx)

	if err := s.force(ctx, principal, agent.Name, request); err != nil {
		return nil, err
	}

	appended, err := s.store.Append(ctx, request)
	if err != nil {
		return nil, err
	}

	if appended.GetReplayed() {
		return s.retaken(ctx, conversation, appended)
	}

	s.dispatch.start(appended.GetTurn()) //nolint:contextcheck // a turn outlives the request

	return &taken{
		conversationID: conversation.GetConversationId(), turn: appended.GetTurn(),
		from: appended.GetFirstSequence(), known: appended.GetVersion(),
	}, nil
}

// acceptance is the request that begins a turn of the agent. It names the agent only if the conversation is another's.
func acceptance(principal Principal, conversation *contextv1.Conversation, agent Agent, text, key string) *contextv1.AppendRequest {
	if key == "" {
		key = newID("r")
	}

	accepted := &eventv1.TurnAccepted{
		Text: text, Deadline: timestamppb.New(agent.deadline(time.Now())), Budget: agent.Budget,
		Actors: []string{principal.User},
	}
	if agent.Name != conversation.GetAgent() {
		accepted.Agent = agent.Name
	}

	return &contextv1.AppendRequest{
		ConversationId: conversation.GetConversationId(),
		RequestId:      "msg/" + key,
		RequestDigest:  digest(text),
		Events: []*eventv1.Event{{
			TurnId: newID("t"), Kind: &eventv1.Event_TurnAccepted{TurnAccepted: accepted},
		}},
	}
}

// retaken is a turn that the message began before, as it is now.
func (s *Service) retaken(ctx context.Context, conversation *contextv1.Conversation, first *contextv1.AppendResponse) (*taken, error) {
	turnID, err := s.turnAt(ctx, conversation.GetConversationId(), first)
	if err != nil {
		return nil, err
	}

	got, err := s.store.GetTurn(ctx, &contextv1.GetTurnRequest{TurnId: turnID})
	if err != nil {
		return nil, err
	}

	return &taken{
		conversationID: conversation.GetConversationId(), turn: got.GetTurn(),
		from: first.GetFirstSequence(), known: conversation.GetVersion(),
	}, nil
}

// turnAt is the turn that the first answer to an append named, or else the turn of its first event.
func (s *Service) turnAt(ctx context.Context, conversationID string, first *contextv1.AppendResponse) (string, error) {
	if id := first.GetTurn().GetTurnId(); id != "" {
		return id, nil
	}

	page, err := s.store.ReadEvents(ctx, &contextv1.ReadEventsRequest{
		ConversationId: conversationID, FromSequence: first.GetFirstSequence(), Limit: 1,
	})
	if err != nil {
		return "", err
	}

	if len(page.GetEvents()) == 0 {
		return "", fault.New(codes.DataLoss, "EVENT_MISSING", "event %d of %s is missing", first.GetFirstSequence(), conversationID)
	}

	return page.GetEvents()[0].GetTurnId(), nil
}

// waiting bounds the wait for a turn's end: by its deadline, and by the end of draining.
func (s *Service) waiting(ctx context.Context, turn *contextv1.Turn) (context.Context, context.CancelFunc) {
	limit := time.Now()
	if deadline := turn.GetDeadline().AsTime(); deadline.After(limit) {
		limit = deadline
	}

	ctx, cancel := context.WithDeadline(ctx, limit.Add(settleGrace))
	ctx, cancelCause := context.WithCancelCause(ctx)
	stop := context.AfterFunc(s.stopping, func() { cancelCause(errDraining()) })

	return ctx, func() {
		stop()
		cancelCause(nil)
		cancel()
	}
}

// unsettled tells a caller whose wait ended early how to find the turn again.
func (t *taken) unsettled(err error) error {
	inner := fault.From(err)
	if inner.Code == codes.DeadlineExceeded {
		inner = fault.New(codes.DeadlineExceeded, "TURN_UNSETTLED",
			"turn %s has not ended yet; follow the conversation's events from %d", t.turn.GetTurnId(), t.from)
	}

	return inner.With("turn_id", t.turn.GetTurnId()).With("from", strconv.FormatInt(t.from, 10))
}

// lastEventID is the sequence of the last event that a reconnecting client saw; 0 if it saw none.
func lastEventID(ctx context.Context) (int64, error) {
	values := metadata.ValueFromIncomingContext(ctx, "last-event-id")
	if len(values) == 0 || values[0] == "" {
		return 0, nil
	}

	seen, err := strconv.ParseInt(values[0], 10, 64)
	if err != nil || seen < 0 {
		return 0, fault.Invalid(fault.Violation{
			Field: "Last-Event-ID", Message: "must be the sequence of an event: a whole number from 0",
		})
	}

	return seen, nil
}

// flush pushes out what a stream may hold back; gRPC's own streams hold nothing back.
func flush(stream grpc.ServerStream) {
	if buffered, ok := stream.(interface{ Flush() }); ok {
		buffered.Flush()
	}
}
