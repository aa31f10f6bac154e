package contextstore

import (
	"context"

	"google.golang.org/grpc/codes"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
	"github.com/serinhq/serin/internal/fault"
)

// ClaimCall decides, before a tool takes effect, whether it may.
func (s *Service) ClaimCall(
	ctx context.Context, request *contextv1.ClaimCallRequest,
) (*contextv1.ClaimCallResponse, error) {
	var response *contextv1.ClaimCallResponse

	about := aboutCall(request.GetConversationId(), request.GetCallId(), request.GetLease().GetTurnId())

	err := s.update(ctx, about, func(tx Tx) (changes, error) {
		turn, err := tx.Turn(request.GetLease().GetTurnId())
		if err != nil {
			return changes{}, err
		}

		call, err := oneCall(tx, request.GetConversationId(), request.GetCallId())
		if err != nil {
			return changes{}, err
		}

		decided, err := claim(turn, call, request, s.now(tx))
		if err != nil {
			return changes{}, err
		}

		response = decided.answer()

		return s.claim(tx, turn, call, decided)
	})
	if err != nil {
		return nil, err
	}

	return response, nil
}

// aboutCall is about a call, its conversation and, if it is named, its turn.
func aboutCall(conversationID, callID, turnID string) About {
	return About{Conversation: conversationID, Ahead: func(reader Reader, _ string) {
		_, _ = reader.Calls(conversationID, []string{callID})
		_, _ = reader.Conversation(conversationID)

		if turnID != "" {
			_, _ = reader.Turn(turnID)
		}
	}}
}

// claim writes what was decided about a call.
func (s *Service) claim(tx Tx, turn Turn, before Call, decided claimed) (changes, error) {
	if decided.call != before {
		if err := tx.PutCall(decided.call); err != nil {
			return changes{}, err
		}
	}

	if !decided.starts {
		return changes{}, nil
	}

	started := decided.call.event(turn)
	started.Kind = &eventv1.Event_ToolStarted{
		ToolStarted: &eventv1.ToolStarted{CallId: before.ID, Tool: before.Tool},
	}

	return s.say(tx, before.ConversationID, started)
}

// CompleteCall records what a claimed call came to, whatever became of its turn.
func (s *Service) CompleteCall(
	ctx context.Context, request *contextv1.CompleteCallRequest,
) (*contextv1.CompleteCallResponse, error) {
	response := &contextv1.CompleteCallResponse{}

	about := aboutCall(request.GetConversationId(), request.GetResult().GetCallId(), "")

	err := s.update(ctx, about, func(tx Tx) (changes, error) {
		call, err := oneCall(tx, request.GetConversationId(), request.GetResult().GetCallId())
		if err != nil {
			return changes{}, err
		}

		if call.Holder == "" || call.Holder != request.GetHolder() {
			return changes{}, fault.New(codes.FailedPrecondition, "CLAIM_NOT_HELD", "call %s is not claimed by %s",
				request.GetResult().GetCallId(), request.GetHolder())
		}

		if call.State == CallCompleted {
			response.Sequence = call.ResultSequence

			return changes{}, nil
		}

		done, err := s.complete(tx, call, request.GetResult())
		if err == nil {
			response.Sequence = done.events[0].GetSequence()
		}

		return done, err
	})
	if err != nil {
		return nil, err
	}

	return response, nil
}

// complete appends tool_result and writes the call.
func (s *Service) complete(tx Tx, call Call, result *eventv1.ToolResult) (changes, error) {
	turn, err := tx.Turn(call.TurnID)
	if err != nil {
		return changes{}, err
	}

	event := call.event(turn)
	event.Kind = &eventv1.Event_ToolResult{ToolResult: result}

	done, err := s.say(tx, call.ConversationID, event)
	if err != nil {
		return changes{}, err
	}

	if err := tx.PutCall(call.completed(result, event.GetSequence())); err != nil || !turn.executes(call) {
		return done, err
	}

	turn.Tally = turn.Tally.counting(event, s.now(tx))

	return done, tx.PutTurn(turn)
}

// executes says whether a call belongs to the segment that runs.
func (t *Turn) executes(call Call) bool {
	return !ended(t.GetStatus()) && t.Phase == PhaseExecuting && t.GetAgent() == call.Agent && t.GetSegment() == call.Segment
}

// say appends an event of the store's own to a conversation.
func (s *Service) say(tx Tx, conversationID string, event *eventv1.Event) (changes, error) {
	conversation, err := tx.Conversation(conversationID)
	if err != nil {
		return changes{}, err
	}

	_, err = s.log(tx, conversation, event)

	return changes{events: []*eventv1.Event{event}}, err
}

// oneCall reads a call; one without an id if it is not there.
func oneCall(reader Reader, conversationID, callID string) (Call, error) {
	calls, err := reader.Calls(conversationID, []string{callID})

	return calls[callID], err
}
