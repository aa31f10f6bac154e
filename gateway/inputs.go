package gateway

import (
	"context"
	"fmt"
	"strconv"

	"google.golang.org/grpc/codes"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	conversationv1 "github.com/serinhq/serin/gen/serin/conversation/v1"
	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
	"github.com/serinhq/serin/internal/fault"
)

func (s *Service) resolveInput(ctx context.Context, principal Principal, req *conversationv1.ResolveInputRequest) (*conversationv1.ResolveInputResponse, error) {
	if _, err := s.conversation(ctx, principal, req.GetConversationId()); err != nil {
		return nil, err
	}

	turn, err := s.turnAsking(ctx, req)
	if err != nil {
		return nil, err
	}

	fold, err := s.foldTurn(ctx, turn)
	if err != nil {
		return nil, err
	}

	asked, err := fold.decide(req.GetCallId(), req.GetDecision())
	if err != nil {
		return nil, err
	}

	if asked != nil {
		if err := s.appendAnswer(ctx, principal, turn, asked, req); err != nil {
			return nil, err
		}
	}

	return &conversationv1.ResolveInputResponse{TurnId: turn.GetTurnId()}, nil
}

// turnAsking returns the turn that the call belongs to.
func (s *Service) turnAsking(ctx context.Context, req *conversationv1.ResolveInputRequest) (*contextv1.Turn, error) {
	turnID, ok := turnOfCall(req.GetCallId())
	if !ok {
		return nil, errNotRequested(req.GetCallId())
	}

	got, err := s.store.GetTurn(ctx, &contextv1.GetTurnRequest{TurnId: turnID})
	if err != nil && fault.CodeOf(err) != codes.NotFound {
		return nil, err
	}

	if err != nil || got.GetTurn().GetConversationId() != req.GetConversationId() {
		return nil, errNotRequested(req.GetCallId())
	}

	return got.GetTurn(), nil
}

func (s *Service) appendAnswer(ctx context.Context, principal Principal, turn *contextv1.Turn, asked *input, req *conversationv1.ResolveInputRequest) error {
	appended, err := s.store.Append(ctx, &contextv1.AppendRequest{
		ConversationId: turn.GetConversationId(),
		RequestId:      "input/" + req.GetCallId() + "/" + strconv.FormatInt(asked.sequence, 10),
		RequestDigest:  req.GetDecision().String(),
		Events: []*eventv1.Event{{
			TurnId: turn.GetTurnId(),
			Kind: &eventv1.Event_InputResolved{InputResolved: &eventv1.InputResolved{
				CallId: req.GetCallId(), Decision: req.GetDecision(), Comment: req.GetComment(), By: principal.User,
			}},
		}},
	})
	if fault.Is(err, "REQUEST_ID_REUSED") { // someone else answered otherwise at the same time
		return errResolved(req.GetCallId())
	}

	if err != nil {
		return err
	}

	s.dispatchIfIdle(appended.GetTurn()) //nolint:contextcheck // a turn outlives the request

	return nil
}

// decide returns the open question that the decision answers, or nil if the same answer was given before.
func (f *turnFold) decide(callID string, decision eventv1.Decision) (*input, error) {
	asked := f.asked(callID)

	switch {
	case asked == nil:
		return nil, errNotRequested(callID)
	case f.answered(callID, decision):
		return nil, nil //nolint:nilnil // no question is left to answer, and that is no error
	case !asked.open():
		return nil, errResolved(callID)
	case f.ended():
		return nil, errNotRequested(callID)
	case !fits(asked.request.GetKind(), decision):
		return nil, errUnfit(asked.request.GetKind(), decision)
	default:
		return asked, nil
	}
}

// answered reports whether any question about the call got this answer.
func (f *turnFold) answered(callID string, decision eventv1.Decision) bool {
	for _, asked := range f.inputs {
		if asked.request.GetCallId() == callID && asked.answer == decision {
			return true
		}
	}

	return false
}

func fits(kind eventv1.InputRequested_Kind, decision eventv1.Decision) bool {
	isOutcome := decision == eventv1.Decision_DECISION_HAPPENED || decision == eventv1.Decision_DECISION_DID_NOT_HAPPEN

	return isOutcome == (kind == eventv1.InputRequested_KIND_OUTCOME)
}

func errNotRequested(callID string) error {
	return fault.New(codes.FailedPrecondition, "INPUT_NOT_REQUESTED", "nothing is asked about call %q in this conversation", callID)
}

func errResolved(callID string) error {
	return fault.New(codes.FailedPrecondition, "INPUT_RESOLVED", "call %q was decided otherwise before", callID)
}

func errUnfit(kind eventv1.InputRequested_Kind, decision eventv1.Decision) error {
	right := "approve or reject"
	if kind == eventv1.InputRequested_KIND_OUTCOME {
		right = "happened or did_not_happen"
	}

	return fault.Invalid(fault.Violation{
		Field: "decision", Message: fmt.Sprintf("%s does not answer what is asked; must be %s", decision, right),
	})
}
