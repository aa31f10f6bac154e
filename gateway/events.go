package gateway

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	conversationv1 "github.com/serinhq/serin/gen/serin/conversation/v1"
	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
)

func (s *Service) listEvents(ctx context.Context, principal Principal, req *conversationv1.ListEventsRequest) (*conversationv1.ListEventsResponse, error) {
	if _, err := s.conversation(ctx, principal, req.GetConversationId()); err != nil {
		return nil, err
	}

	page, err := s.store.ReadEvents(ctx, &contextv1.ReadEventsRequest{
		ConversationId: req.GetConversationId(), FromSequence: req.GetFrom(), Limit: req.GetLimit(),
	})
	if err != nil {
		return nil, err
	}

	return &conversationv1.ListEventsResponse{Events: page.GetEvents(), Version: page.GetVersion()}, nil
}

func (s *Service) streamEvents(ctx context.Context, principal Principal, req *conversationv1.StreamEventsRequest, stream grpc.ServerStreamingServer[conversationv1.StreamEventsResponse]) error {
	seen, err := lastEventID(ctx)
	if err != nil {
		return err
	}

	if err := s.mayStream(ctx, principal, req.GetConversationId()); err != nil {
		return err
	}

	if err := stream.SendHeader(metadata.MD{}); err != nil {
		return err
	}

	return s.follow(ctx, &follower{
		conversationID: req.GetConversationId(), next: firstWanted(req.GetFrom(), seen), transient: true,
		emit: func(events []*eventv1.Event) (bool, error) {
			defer flush(stream)

			for _, event := range events {
				if err := stream.Send(&conversationv1.StreamEventsResponse{Event: event}); err != nil {
					return false, err
				}
			}

			return false, nil
		},
	})
}

func (s *Service) mayStream(ctx context.Context, principal Principal, conversationID string) error {
	if s.draining.Err() != nil {
		return errDraining()
	}

	ctx, cancel := context.WithTimeout(ctx, s.cfg.RequestTimeout)
	defer cancel()

	_, err := s.conversation(ctx, principal, conversationID)

	return err
}

// firstWanted lets the last seen event win over what the address says: a browser reconnects with the same address.
func firstWanted(from, seen int64) int64 {
	if seen > 0 {
		return seen + 1
	}

	return max(from, 1)
}
