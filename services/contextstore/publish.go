package contextstore

import (
	"context"
	"errors"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
	"github.com/serinhq/serin/internal/fault"
)

// Publish shows transient events to followers. What comes under a stale epoch is dropped.
func (s *Service) Publish(stream grpc.ClientStreamingServer[contextv1.PublishRequest, contextv1.PublishResponse]) error {
	by, err := writerOf(stream.Context())
	if err != nil {
		return err
	}

	received := make(chan error, 1)

	go func() { received <- s.receive(stream, by) }() // ends with the stream's context, which ends with this method

	select {
	case err = <-received:
	case <-s.drained:
		err = goingAway()
	}

	if err != nil {
		return err
	}

	return stream.SendAndClose(&contextv1.PublishResponse{})
}

// receive shows what comes until the caller is done.
func (s *Service) receive(
	stream grpc.ClientStreamingServer[contextv1.PublishRequest, contextv1.PublishResponse], by writer,
) error {
	for {
		request, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}

		if err != nil {
			return err
		}

		if err := s.show(stream.Context(), by, request); err != nil {
			return err
		}
	}
}

// show passes transient events on if their epoch is the turn's.
func (s *Service) show(ctx context.Context, by writer, request *contextv1.PublishRequest) error {
	if err := by.mayPublish(request.GetEvents()); err != nil {
		return err
	}

	turn, err := s.epochOf(ctx, request.GetLease().GetTurnId())
	if err != nil {
		return err
	}

	if turn.ended || turn.epoch != request.GetLease().GetEpoch() ||
		turn.conversationID != request.GetConversationId() {
		return nil
	}

	if err := by.speaksAs("lease", turn.agent); err != nil {
		return err
	}

	events := make([]*eventv1.Event, len(request.GetEvents()))
	for i, event := range request.GetEvents() {
		events[i] = s.transient(event, turn, request)
	}

	s.hub.publish(request.GetConversationId(), events)

	return nil
}

// transient returns the event as followers see it.
func (s *Service) transient(event *eventv1.Event, turn epochEntry, request *contextv1.PublishRequest) *eventv1.Event {
	made := event.GetTime()
	if made == nil {
		made = timestamp(s.local())
	}

	return &eventv1.Event{
		ConversationId: request.GetConversationId(), TurnId: request.GetLease().GetTurnId(), Time: made,
		Agent: turn.agent, Revision: event.GetRevision(), Epoch: turn.epoch,
		Segment: event.GetSegment(), Step: event.GetStep(), Kind: event.GetKind(),
	}
}

// epochOf returns a turn's current epoch, from memory if it can; a turn that does not exist has none.
func (s *Service) epochOf(ctx context.Context, turnID string) (epochEntry, error) {
	now := s.local()
	if entry, found := s.epochs.find(turnID, now); found {
		return entry, nil
	}

	var turn Turn

	err := s.store.View(ctx, aboutTurn(turnID), func(reader Reader) (err error) {
		turn, err = reader.Turn(turnID)

		return err
	})

	switch {
	case fault.CodeOf(err) == codes.NotFound:
		return epochEntry{}, nil
	case err != nil:
		return epochEntry{}, err
	default:
		return s.epochs.note(turn.Turn, now), nil
	}
}
