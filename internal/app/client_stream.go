package app

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/protojson"

	conversationv1 "github.com/serinhq/serin/gen/serin/conversation/v1"
	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
	"github.com/serinhq/serin/internal/fault"
)

// idleTimeout is how long a stream may be silent, heartbeats included, before it counts as cut.
const idleTimeout = 90 * time.Second

// errCut says that a stream ended before what it was opened for; it can be opened again.
var errCut = errors.New("the stream was cut")

// eventStream is a stream of a conversation's events. Close it.
type eventStream struct {
	body   io.Closer
	events *sseReader
	cancel context.CancelFunc
	idle   *time.Timer
}

// send starts a turn and streams its events. The same key again streams the same turn.
func (c *client) send(ctx context.Context, id, text, key string) (*eventStream, error) {
	return c.open(ctx, func(ctx context.Context) (*http.Request, error) {
		request, err := c.request(ctx, http.MethodPost, []string{collection, id, "messages"}, nil,
			&conversationv1.SendMessageRequest{Text: text})
		if err == nil {
			request.Header.Set("Idempotency-Key", key)
		}

		return request, err
	})
}

// follow streams the log after a sequence, and what comes.
func (c *client) follow(ctx context.Context, id string, after int64) (*eventStream, error) {
	return c.open(ctx, func(ctx context.Context) (*http.Request, error) {
		request, err := c.request(ctx, http.MethodGet, []string{collection, id, "events"}, nil, nil)
		if err == nil && after > 0 {
			request.Header.Set("Last-Event-ID", strconv.FormatInt(after, 10))
		}

		return request, err
	})
}

func (c *client) open(ctx context.Context, build func(context.Context) (*http.Request, error)) (*eventStream, error) {
	ctx, cancel := context.WithCancel(ctx)

	request, err := build(ctx)
	if err != nil {
		cancel()

		return nil, err
	}

	request.Header.Set("Accept", "text/event-stream")

	response, err := c.do(request) //nolint:bodyclose // eventStream.close does
	if err != nil {
		cancel()

		return nil, err
	}

	stream := &eventStream{body: response.Body, cancel: cancel, idle: time.AfterFunc(idleTimeout, cancel)}
	stream.events = newSSEReader(&awake{response.Body, stream.idle})

	return stream, nil
}

// awake puts a timer off with every byte that comes.
type awake struct {
	io.Reader

	timer *time.Timer
}

func (a *awake) Read(p []byte) (int, error) {
	n, err := a.Reader.Read(p)
	if n > 0 {
		a.timer.Reset(idleTimeout)
	}

	return n, err //nolint:wrapcheck // a reader passes io.EOF on as it is
}

// next returns the next event. The error is errCut when there is no more to come from this stream, or a fault that the
// gateway sent.
func (s *eventStream) next() (*eventv1.Event, error) {
	raw, err := s.events.next()
	if err != nil {
		return nil, errCut
	}

	if raw.Name == "error" {
		return nil, fault.FromHTTP(http.StatusInternalServerError, []byte(raw.Data))
	}

	event := &eventv1.Event{}
	if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal([]byte(raw.Data), event); err != nil {
		return nil, fault.New(codes.Internal, "BAD_ANSWER", "an event of the stream can't be read: %w", err)
	}

	return event, nil
}

func (s *eventStream) close() {
	s.idle.Stop()
	s.cancel()
	_ = s.body.Close() // nothing was written
}
