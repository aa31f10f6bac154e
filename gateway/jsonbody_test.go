package gateway

import (
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	conversationv1 "github.com/serinhq/serin/gen/serin/conversation/v1"
	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
	"github.com/serinhq/serin/internal/fault"
)

func TestShortEnums(t *testing.T) {
	for body, want := range map[string]eventv1.Decision{
		`{"decision":"approve"}`:                           eventv1.Decision_DECISION_APPROVE,
		`{"decision":"Reject","comment":"no","callId":""}`: eventv1.Decision_DECISION_REJECT,
		`{"decision":"happened"}`:                          eventv1.Decision_DECISION_HAPPENED,
		`{"decision":"did_not_happen"}`:                    eventv1.Decision_DECISION_DID_NOT_HAPPEN,
		`{"decision":"did-not-happen"}`:                    eventv1.Decision_DECISION_DID_NOT_HAPPEN,
		`{"decision":"DECISION_APPROVE"}`:                  eventv1.Decision_DECISION_APPROVE,
		`{"decision":1}`:                                   eventv1.Decision_DECISION_APPROVE,
		`{}`:                                               eventv1.Decision_DECISION_UNSPECIFIED,
	} {
		var req conversationv1.ResolveInputRequest
		if err := decodeJSON([]byte(body), &req); err != nil || req.GetDecision() != want {
			t.Errorf("%s: %v %v", body, &req, err)
		}
	}

	err := decodeJSON([]byte(`{"decision":"yes","comment":3,"why":1}`), &conversationv1.ResolveInputRequest{})

	got := fault.From(err).Violations
	if len(got) != 3 || got[1].Message != "must be one of approve, reject, happened, did_not_happen" {
		t.Errorf("got %v", got)
	}
}

func TestPosition(t *testing.T) {
	err := decodeJSON([]byte("{\n  \"text\": x\n}"), &conversationv1.SendMessageRequest{})
	if want := "the body is not JSON: line 2, column 11: invalid character 'x' looking for beginning of value"; err == nil || err.Error() != want {
		t.Errorf("got %v", err)
	}
}

func FuzzDecodeJSON(f *testing.F) {
	for _, seed := range []string{
		`{"text":"a"}`, `{"decision":"approve"}`, `{`, `null`, `[]`, `{"text":1}`, `{"conversation_id":"a","conversationId":"b"}`,
		`{"rating":"up"}`, "{\"text\":\"\xff\"}", `{"text":"\ud800"}`,
	} {
		f.Add([]byte(seed))
	}

	f.Fuzz(func(t *testing.T, data []byte) {
		for _, message := range []proto.Message{
			&conversationv1.SendMessageRequest{}, &conversationv1.ResolveInputRequest{}, &conversationv1.GiveFeedbackRequest{},
		} {
			if err := decodeJSON(data, message); err != nil && fault.CodeOf(err) != codes.InvalidArgument {
				t.Errorf("%q: %v", data, err)
			}
		}
	})
}
