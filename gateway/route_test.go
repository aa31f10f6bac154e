package gateway

import (
	"slices"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/reflect/protoreflect"

	conversationv1 "github.com/serinhq/serin/gen/serin/conversation/v1"
	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
	rolloutv1 "github.com/serinhq/serin/gen/serin/rollout/v1"
	"github.com/serinhq/serin/internal/fault"
)

func TestRoutes(t *testing.T) {
	routes := routesOf()
	for path, want := range map[string][]string{
		"/v1/conversations":                      {"GET", "POST"},
		"/v1/conversations/c1":                   {"DELETE", "GET"},
		"/v1/conversations/c1:cancel":            {"POST"},
		"/v1/conversations/":                     nil,
		"/v1/conversations/c1/messages":          {"POST"},
		"/v1/conversations/c1/events":            {"GET"},
		"/v1/conversations/c1/approvals/t-1-1-0": {"POST"},
		"/v1/conversations/c1/approvals":         nil,
		"/v1":                                    nil,
		"/v1/rollouts":                           {"GET"},
		"/v1/rollouts/billing":                   {"GET"},
		"/v1/rollouts/billing:abort":             {"POST"},
		"/v1/rollouts/billing/history":           {"GET"},
		"/v1/rollouts/billing/revisions/stable":  {"GET"},
	} {
		if got := allowed(routes, path); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", path, got, want)
		}
	}
}

// TestEveryMethodIsGuarded calls each method without a token.
func TestEveryMethodIsGuarded(t *testing.T) {
	w := newWorld(t, withTokens(t))
	conn := newPublicConn(t, w.service)

	for _, service := range []grpc.ServiceDesc{conversationv1.ConversationService_ServiceDesc, rolloutv1.RolloutService_ServiceDesc} {
		for _, method := range service.Methods {
			err := conn.Invoke(t.Context(), "/"+service.ServiceName+"/"+method.MethodName,
				&conversationv1.GetConversationRequest{}, &conversationv1.GetConversationResponse{})
			if got := reasonOf(err); got != "TOKEN_MISSING" {
				t.Errorf("%s: %v", method.MethodName, err)
			}
		}

		for i, method := range service.Streams {
			stream, err := conn.NewStream(t.Context(), &service.Streams[i], "/"+service.ServiceName+"/"+method.StreamName)
			if err != nil {
				t.Fatal(err)
			}

			_ = stream.SendMsg(&conversationv1.GetConversationRequest{})
			_ = stream.CloseSend()

			if err := stream.RecvMsg(&conversationv1.GetConversationResponse{}); reasonOf(err) != "TOKEN_MISSING" {
				t.Errorf("%s: %v", method.StreamName, err)
			}
		}
	}
}

// TestEveryEventHasAName makes sure that an event of any kind can be sent.
func TestEveryEventHasAName(t *testing.T) {
	fields := (&eventv1.Event{}).ProtoReflect().Descriptor().Oneofs().ByName("kind").Fields()
	for i := range fields.Len() {
		event := &eventv1.Event{Sequence: 1}
		message := event.ProtoReflect()
		message.Set(fields.Get(i), protoreflect.ValueOfMessage(message.NewField(fields.Get(i)).Message()))

		if got, err := appendFrame(nil, event); err != nil || eventName(event) != string(fields.Get(i).Name()) {
			t.Errorf("%s: %s %v", fields.Get(i).Name(), got, err)
		}
	}
}

func reasonOf(err error) string {
	if err == nil {
		return ""
	}

	return fault.From(err).Reason
}
