package contextstore

import (
	"strconv"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
	"github.com/serinhq/serin/internal/fault"
)

// FollowEvents replays a log and goes on with what comes. It sends its headers once it follows.
func (s *Service) FollowEvents(
	request *contextv1.FollowEventsRequest, stream grpc.ServerStreamingServer[contextv1.FollowEventsResponse],
) error {
	follower, stop := s.hub.follow(request.GetConversationId(), request.GetTransient())
	defer stop()

	reading := &reading{
		service: s, stream: stream, conversationID: request.GetConversationId(),
		cursor: cursor{next: max(request.GetFromSequence(), 1)},
	}

	if err := stream.SendHeader(metadata.MD{}); err != nil {
		return err
	}

	if err := reading.replay(); err != nil {
		return err
	}

	poll := time.NewTicker(s.config.FollowPoll)
	defer poll.Stop()

	for {
		var err error

		select {
		case <-stream.Context().Done():
			return stream.Context().Err()
		case <-s.drained:
			return goingAway()
		case <-poll.C:
			err = reading.replay()
		case <-follower.wake:
			err = reading.news(follower.take())
		}

		if err != nil {
			return err
		}
	}
}

// reading is one follower's way through a log.
type reading struct {
	cursor

	service        *Service
	stream         grpc.ServerStreamingServer[contextv1.FollowEventsResponse]
	conversationID string
}

// replay sends what the log holds from the cursor on.
func (r *reading) replay() error {
	for {
		events, version, err := r.service.page(r.stream.Context(), r.conversationID, r.next, r.service.config.FollowBuffer)
		if err != nil {
			return err
		}

		if err := r.send(events); err != nil {
			return err
		}

		if r.next > version || len(events) == 0 {
			return nil
		}
	}
}

// news sends what a follower was told.
func (r *reading) news(events []*eventv1.Event, lost, look bool) error {
	if err := r.live(events, lost); err != nil || !look || lost {
		return err
	}

	return r.replay()
}

// live sends events as they came; where durable ones are missing, it reads them from the log.
func (r *reading) live(events []*eventv1.Event, lost bool) error {
	if lost {
		if err := r.catchUp(); err != nil {
			return err
		}
	}

	for len(events) > 0 {
		fit := r.fitting(events)
		if err := r.send(events[:fit]); err != nil {
			return err
		}

		if events = events[fit:]; len(events) > 0 && r.gap(events[0]) {
			if err := r.replay(); err != nil {
				return err
			}

			if r.gap(events[0]) { // shown to followers, but not in the log: never send what is not stored
				return nil
			}
		}
	}

	return nil
}

// catchUp replays after a loss, unless the reader lags so far behind that it had better come again.
func (r *reading) catchUp() error {
	_, version, err := r.service.page(r.stream.Context(), r.conversationID, r.next, 1)
	if err != nil {
		return err
	}

	if lag := version - r.next; lag > r.service.config.FollowLag {
		return fault.New(codes.ResourceExhausted, "READER_TOO_SLOW",
			"the reader is %d events behind: follow again from sequence %d", lag, r.next).
			With("next_sequence", strconv.FormatInt(r.next, 10))
	}

	return r.replay()
}

// fitting returns how many of the events can go into one message: up to a gap or the message's bound.
func (r *reading) fitting(events []*eventv1.Event) int {
	ahead, size := r.cursor, 0

	for i, event := range events {
		if ahead.gap(event) {
			return i
		}

		if size += proto.Size(event); size > pageBytes && i > 0 {
			return i
		}

		ahead.admit(event)
	}

	return len(events)
}

// send sends those of the events that the reader has not had yet.
func (r *reading) send(events []*eventv1.Event) error {
	fresh := make([]*eventv1.Event, 0, len(events))

	for _, event := range events {
		if r.admit(event) {
			fresh = append(fresh, event)
		}
	}

	if len(fresh) == 0 {
		return nil
	}

	return r.stream.Send(&contextv1.FollowEventsResponse{Events: fresh})
}
