package gateway

import (
	"context"
	"errors"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	conversationv1 "github.com/serinhq/serin/gen/serin/conversation/v1"
	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
	rolloutv1 "github.com/serinhq/serin/gen/serin/rollout/v1"
	"github.com/serinhq/serin/internal/fault"
)

// streamFor returns what serves the route as SSE, or nil if the client did not ask for that or the route has none.
func (d *rest) streamFor(matched *route, r *http.Request) runtime.HandlerFunc {
	var stream runtime.HandlerFunc

	switch matched.method {
	case conversationv1.ConversationService_SendMessage_FullMethodName:
		stream = d.messageSSE
	case conversationv1.ConversationService_ListEvents_FullMethodName:
		stream = d.eventsSSE
	case rolloutv1.RolloutService_ListRollouts_FullMethodName, rolloutv1.RolloutService_GetRollout_FullMethodName:
		stream = d.rolloutsSSE
	default:
		return nil
	}

	if !acceptsSSE(r.Header) {
		return nil
	}

	return stream
}

func acceptsSSE(header http.Header) bool {
	for _, accept := range header.Values("Accept") {
		for kind := range strings.SplitSeq(accept, ",") {
			name, params, err := mime.ParseMediaType(kind)
			if err == nil && name == "text/event-stream" && params["q"] != "0" {
				return true
			}
		}
	}

	return false
}

func (d *rest) messageSSE(w http.ResponseWriter, r *http.Request, params map[string]string) {
	req := &conversationv1.StreamMessageRequest{}

	if body, ok := r.Body.(*jsonBody); ok {
		if err := body.decode(req); err != nil {
			writeError(w, r, err)

			return
		}
	}

	req.ConversationId = params["conversation_id"]

	serveSSE(d, w, r, conversationv1.ConversationService_StreamMessage_FullMethodName,
		func(stream *sseStream[conversationv1.StreamMessageResponse, *conversationv1.StreamMessageResponse]) error {
			return d.door.StreamMessage(req, stream)
		})
}

func (d *rest) eventsSSE(w http.ResponseWriter, r *http.Request, params map[string]string) {
	req := &conversationv1.StreamEventsRequest{ConversationId: params["conversation_id"]}
	if from := r.URL.Query().Get("from"); from != "" {
		req.From, _ = strconv.ParseInt(from, 10, 64) // checkQuery took it
	}

	serveSSE(d, w, r, conversationv1.ConversationService_StreamEvents_FullMethodName,
		func(stream *sseStream[conversationv1.StreamEventsResponse, *conversationv1.StreamEventsResponse]) error {
			return d.door.StreamEvents(req, stream)
		})
}

// streamed is a response of a stream.
type streamed[T any] interface {
	*T
	proto.Message
}

// sseStream is a gRPC stream to the service and server-sent events to the client. Durable events have their sequence as
// id, so that a browser resumes with Last-Event-ID; every event is named by its kind. A comment comes when nothing else
// did for a while.
type sseStream[T any, P streamed[T]] struct {
	ctx     context.Context
	cancel  context.CancelFunc
	w       http.ResponseWriter
	control *http.ResponseController
	beat    time.Duration

	// mu guards all writing: comments come from a timer.
	mu     sync.Mutex
	opened bool
	closed bool
	timer  *time.Timer
	frame  []byte
}

// serveSSE runs a streaming method with the client as its stream.
func serveSSE[T any, P streamed[T]](d *rest, w http.ResponseWriter, r *http.Request, method string, run func(*sseStream[T, P]) error) {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()

	ctx, err := runtime.AnnotateIncomingContext(ctx, d.mux, r, method)
	if err != nil {
		writeError(w, r, err)

		return
	}

	stream := &sseStream[T, P]{
		ctx: ctx, cancel: cancel, w: w, control: http.NewResponseController(w), beat: d.cfg.Heartbeat,
	}

	d.metrics.streams.Add(ctx, 1)
	defer d.metrics.streams.Add(context.WithoutCancel(ctx), -1)

	err = run(stream)
	if !stream.opened && err != nil {
		writeError(w, r, withJSONNames(err))

		return
	}

	stream.end(err, callOf(ctx).requestID)
}

// SendHeader opens the stream: from here on errors are events.
func (s *sseStream[T, P]) SendHeader(md metadata.MD) error {
	s.mu.Lock()
	defer s.mu.Unlock()

	if s.opened {
		return errors.New("the header was sent before")
	}

	s.opened = true

	header := s.w.Header()
	header.Set("Content-Type", "text/event-stream")
	header.Set("Cache-Control", "no-store")
	header.Set("X-Accel-Buffering", "no") // or nginx holds events back

	for key, values := range md {
		header.Set(key, strings.Join(values, ", "))
	}

	s.w.WriteHeader(http.StatusOK)
	s.timer = time.AfterFunc(s.beat, s.heartbeat)

	return s.writeNow("retry: 1000\n\n")
}

// Send writes an event, without pushing it out: see Flush.
func (s *sseStream[T, P]) Send(response P) error {
	s.mu.Lock()
	defer s.mu.Unlock()

	var err error

	if s.frame, err = appendResponse(s.frame[:0], response); err != nil {
		return err
	}

	_, err = s.w.Write(s.frame)

	return err //nolint:wrapcheck // the client is gone; nobody reads it
}

// Flush pushes out what was sent. A client that does not take it in time loses the stream.
func (s *sseStream[T, P]) Flush() {
	s.mu.Lock()
	defer s.mu.Unlock()

	s.flush()
}

func (s *sseStream[T, P]) flush() {
	if s.control.Flush() != nil {
		s.cancel()
	}

	if s.timer != nil && !s.closed {
		s.timer.Reset(s.beat)
	}
}

func (s *sseStream[T, P]) writeNow(text string) error {
	if _, err := s.w.Write([]byte(text)); err != nil {
		s.cancel()

		return err //nolint:wrapcheck // the client is gone; nobody reads it
	}

	s.flush()

	return nil
}

func (s *sseStream[T, P]) heartbeat() {
	s.mu.Lock()
	defer s.mu.Unlock()

	if !s.closed {
		_ = s.writeNow(": heartbeat\n\n") // a failure cancelled the stream
	}
}

// end writes why the stream ends, and stops the heartbeat before the response is gone.
func (s *sseStream[T, P]) end(err error, requestID string) {
	s.mu.Lock()
	defer s.mu.Unlock()

	s.closed = true

	if s.timer != nil {
		s.timer.Stop()
	}

	if s.ctx.Err() == nil {
		_ = s.writeNow(lastWords(err, requestID)) // whoever left needs no last words
	}
}

// lastWords is the end of a stream: a comment, or an event that is an error.
func lastWords(err error, requestID string) string {
	switch {
	case err == nil:
		return ": end\n\n"
	case fault.Is(err, reasonDraining):
		return ": draining; connect again with Last-Event-ID\n\n"
	default:
		return "event: error\ndata: " + string(mustJSON(restError{newRESTError(err, requestID)})) + "\n\n"
	}
}

// appendResponse encodes what a stream sends: an event of a conversation, or rollouts.
func appendResponse(frame []byte, response proto.Message) ([]byte, error) {
	if carrier, ok := response.(interface{ GetEvent() *eventv1.Event }); ok {
		return appendFrame(frame, carrier.GetEvent())
	}

	frame, err := protojson.MarshalOptions{}.MarshalAppend(append(frame, "event: rollouts\ndata: "...), response)

	return append(frame, "\n\n"...), err
}

// appendFrame encodes one event.
func appendFrame(frame []byte, event *eventv1.Event) ([]byte, error) {
	if event.GetSequence() > 0 {
		frame = append(frame, "id: "...)
		frame = strconv.AppendInt(frame, event.GetSequence(), 10)
		frame = append(frame, '\n')
	}

	frame = append(frame, "event: "...)
	frame = append(frame, eventName(event)...)
	frame = append(frame, "\ndata: "...)

	frame, err := protojson.MarshalOptions{}.MarshalAppend(frame, event)

	return append(frame, "\n\n"...), err
}

// eventName is the name of the event's kind, such as text_delta.
func eventName(event proto.Message) string {
	message := event.ProtoReflect()

	kind := message.WhichOneof(message.Descriptor().Oneofs().ByName("kind"))
	if kind == nil {
		return "unknown"
	}

	return string(kind.Name())
}

// Context is the request's.
func (s *sseStream[T, P]) Context() context.Context { return s.ctx }

// SetHeader, SetTrailer, SendMsg and RecvMsg complete grpc.ServerStream; the service does not use them.
func (s *sseStream[T, P]) SetHeader(metadata.MD) error { return nil }

// SetTrailer does nothing: see SetHeader.
func (s *sseStream[T, P]) SetTrailer(metadata.MD) {}

// SendMsg refuses: see SetHeader.
func (s *sseStream[T, P]) SendMsg(any) error { return errors.ErrUnsupported }

// RecvMsg refuses: see SetHeader.
func (s *sseStream[T, P]) RecvMsg(any) error { return errors.ErrUnsupported }
