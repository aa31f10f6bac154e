package gateway

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/protobuf/proto"

	conversationv1 "github.com/serinhq/serin/gen/serin/conversation/v1"
	"github.com/serinhq/serin/internal/fault"
	"github.com/serinhq/serin/internal/rpc"
)

// guarded is ConversationService as outsiders get it. Every door goes through it, so that who calls, whether the
// request is valid, and what an error may tell is decided in one place.
type guarded struct {
	conversationv1.UnsafeConversationServiceServer

	*Service
}

var _ conversationv1.ConversationServiceServer = guarded{}

func (g guarded) CreateConversation(ctx context.Context, req *conversationv1.CreateConversationRequest) (*conversationv1.CreateConversationResponse, error) {
	return unary(ctx, g.Service, req, g.createConversation)
}

func (g guarded) GetConversation(ctx context.Context, req *conversationv1.GetConversationRequest) (*conversationv1.GetConversationResponse, error) {
	return unary(ctx, g.Service, req, g.getConversation)
}

func (g guarded) DeleteConversation(ctx context.Context, req *conversationv1.DeleteConversationRequest) (*conversationv1.DeleteConversationResponse, error) {
	return unary(ctx, g.Service, req, g.deleteConversation)
}

func (g guarded) ListConversations(ctx context.Context, req *conversationv1.ListConversationsRequest) (*conversationv1.ListConversationsResponse, error) {
	return unary(ctx, g.Service, req, g.listConversations)
}

func (g guarded) SendMessage(ctx context.Context, req *conversationv1.SendMessageRequest) (*conversationv1.SendMessageResponse, error) {
	return guard(ctx, g.Service, req, g.sendMessage)
}

func (g guarded) StreamMessage(req *conversationv1.StreamMessageRequest, stream grpc.ServerStreamingServer[conversationv1.StreamMessageResponse]) error {
	return streaming(g.Service, req, stream, g.streamMessage)
}

func (g guarded) ListEvents(ctx context.Context, req *conversationv1.ListEventsRequest) (*conversationv1.ListEventsResponse, error) {
	return unary(ctx, g.Service, req, g.listEvents)
}

func (g guarded) StreamEvents(req *conversationv1.StreamEventsRequest, stream grpc.ServerStreamingServer[conversationv1.StreamEventsResponse]) error {
	return streaming(g.Service, req, stream, g.streamEvents)
}

func (g guarded) CancelTurn(ctx context.Context, req *conversationv1.CancelTurnRequest) (*conversationv1.CancelTurnResponse, error) {
	return unary(ctx, g.Service, req, g.cancelTurn)
}

func (g guarded) ResolveInput(ctx context.Context, req *conversationv1.ResolveInputRequest) (*conversationv1.ResolveInputResponse, error) {
	return unary(ctx, g.Service, req, g.resolveInput)
}

func (g guarded) GiveFeedback(ctx context.Context, req *conversationv1.GiveFeedbackRequest) (*conversationv1.GiveFeedbackResponse, error) {
	return unary(ctx, g.Service, req, g.giveFeedback)
}

// method is a method of the service, on behalf of someone.
type method[Req, Resp any] func(context.Context, Principal, Req) (Resp, error)

// unary is guard with the time limit of calls that do not wait for a turn.
func unary[Req proto.Message, Resp any](ctx context.Context, s *Service, req Req, handle method[Req, Resp]) (Resp, error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.RequestTimeout)
	defer cancel()

	return guard(ctx, s, req, handle)
}

func guard[Req proto.Message, Resp any](ctx context.Context, s *Service, req Req, handle method[Req, Resp]) (resp Resp, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = panicked(cause)
		}

		if err != nil {
			var none Resp

			resp, err = none, s.outward(ctx, err)
		}
	}()

	ctx, principal, err := s.admit(ctx)
	if err != nil {
		return resp, err
	}

	if err := rpc.Validate(req); err != nil {
		return resp, err
	}

	return handle(ctx, principal, req)
}

// streaming guards a stream, and ends it when the server drains.
func streaming[Req proto.Message, Resp any](
	s *Service, req Req, stream grpc.ServerStreamingServer[Resp],
	handle func(context.Context, Principal, Req, grpc.ServerStreamingServer[Resp]) error,
) error {
	ctx, cancel := context.WithCancelCause(stream.Context())
	defer cancel(nil)

	stop := context.AfterFunc(s.draining, func() { cancel(errDraining()) })
	defer stop()

	_, err := guard(ctx, s, req, func(ctx context.Context, principal Principal, req Req) (struct{}, error) {
		return struct{}{}, handle(ctx, principal, req, stream)
	})

	return drained(ctx, err)
}

// drained is the error of a stream that was ended by draining: what its handler had called says only that it was cancelled.
func drained(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); fault.CodeOf(err) == codes.Canceled && fault.Is(cause, reasonDraining) {
		return cause //nolint:wrapcheck // it is our own
	}

	return err
}

// admit finds out who calls, unless the REST door did already, and drops what users may not say.
func (s *Service) admit(ctx context.Context) (context.Context, Principal, error) {
	known := callOf(ctx)
	if known.principal != nil {
		return ctx, *known.principal, nil
	}

	incoming, _ := metadata.FromIncomingContext(ctx)

	authorization := ""
	if values := incoming.Get("authorization"); len(values) > 0 {
		authorization = values[0]
	}

	client := clientOf(peerOf(ctx), incoming.Get("x-forwarded-for"), s.cfg.Door.TrustedProxies)
	if err := s.perClient.takeClient(ctx, client); err != nil {
		return ctx, Principal{}, err
	}

	principal, err := s.identify(ctx, authorization)
	if err != nil {
		return ctx, principal, err
	}

	known.principal = &principal

	if principal.Role != RoleOperator {
		ctx = metadata.NewIncomingContext(ctx, withoutReserved(incoming))
	}

	return ctx, principal, nil
}

// peerOf is the address of a gRPC call's other end; empty within the process.
func peerOf(ctx context.Context) string {
	if found, ok := peer.FromContext(ctx); ok && found.Addr != nil {
		return found.Addr.String()
	}

	return ""
}

func withoutReserved(incoming metadata.MD) metadata.MD {
	for key := range incoming {
		if isReserved(key) {
			delete(incoming, key)
		}
	}

	return incoming
}

func panicked(cause any) error {
	return fault.New(codes.Internal, "PANIC", "panic: %v\n%s", cause, debug.Stack())
}

// outward turns an error into what outsiders may see; what is kept from them is logged under the request's id.
func (s *Service) outward(ctx context.Context, err error) error {
	inner := fault.From(err)
	outer := presentable(inner)

	if outer.Code == codes.Internal {
		s.log.ErrorContext(ctx, "call failed inside",
			"request_id", callOf(ctx).requestID, "route", callOf(ctx).route, "code", inner.Code.String(), "error", inner.Message)
	}

	return outer
}

// presentable is the fault that outsiders get for one that happened inside.
func presentable(inner *fault.Error) *fault.Error {
	switch {
	case isPrivate(inner):
		return fault.New(codes.Internal, "INTERNAL", "something failed inside; the log says what, under this request's id")
	case inner.Code == codes.Unavailable && inner.Reason == "":
		return fault.New(codes.Unavailable, "UNAVAILABLE", "a part of the platform can't be reached; try again").After(time.Second)
	case inner.Reason == "":
		outer := *inner
		outer.Reason = codeName(inner.Code)

		return &outer
	default:
		return inner
	}
}

// isPrivate reports whether the fault is about how the platform works inside. A refusal between Serin's own processes is
// not the caller's lack of permission.
func isPrivate(inner *fault.Error) bool {
	switch inner.Code { //nolint:exhaustive // the other codes are about the request
	case codes.Internal, codes.Unknown, codes.DataLoss:
		return true
	case codes.PermissionDenied:
		return inner.Reason == "METHOD_NOT_ALLOWED" || inner.Reason == ""
	default:
		return false
	}
}

// codeName is a code as the wire's documentation writes it, such as NOT_FOUND.
func codeName(c codes.Code) string {
	if name, ok := code.Code_name[int32(c)]; ok { //nolint:gosec // codes are below 17
		return name
	}

	return fmt.Sprintf("CODE_%d", c)
}
