package contextstore

import (
	"context"
	"slices"

	"google.golang.org/grpc/codes"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
	"github.com/serinhq/serin/internal/fault"
	"github.com/serinhq/serin/internal/rpc"
)

// role is what a caller is to the store.
type role int

const (
	roleOther role = iota
	roleGateway
	roleAgent
	roleTools
)

// writer is who appends, and under which lease.
type writer struct {
	role role
	// agent is the caller's own name, if it is an agent.
	agent string
	lease *contextv1.LeaseRef
}

// writerOf returns what the verified peer of the RPC is. Errors: UNAUTHENTICATED (NO_PEER).
func writerOf(ctx context.Context) (writer, error) {
	peer, verified := rpc.Peer(ctx)

	switch {
	case !verified:
		return writer{}, fault.New(codes.Unauthenticated, "NO_PEER", "the caller has shown no certificate")
	case peer.IsAgent():
		return writer{role: roleAgent, agent: peer.Name}, nil
	case peer.Name == rpc.Gateway:
		return writer{role: roleGateway}, nil
	case peer.Name == rpc.Tools:
		return writer{role: roleTools}, nil
	default:
		return writer{role: roleOther}, nil
	}
}

// owns checks that an agent acts on a turn of its own. Errors: FAILED_PRECONDITION (NOT_OWNER).
func (w writer) owns(turn *Turn) error {
	if w.role == roleAgent && turn.GetAgent() != w.agent {
		return notOwner(turn, w.agent)
	}

	return nil
}

// speaksAs checks that an agent names no other agent than itself.
func (w writer) speaksAs(field, agent string) error {
	if w.role != roleAgent || agent == w.agent {
		return nil
	}

	return fault.New(codes.PermissionDenied, "AGENT_MISMATCH", "%s: agent %q can't speak as %q", field, w.agent, agent)
}

// mayAppend checks who may append which kinds of events, and that the lease is shown where it must be.
func (w writer) mayAppend(events []*eventv1.Event) error {
	for _, event := range events {
		if !w.allowed(event) {
			return fault.New(codes.PermissionDenied, "EVENT_NOT_ALLOWED", "events: %s can't append %T", w, event.GetKind())
		}

		if event.GetAgent() != "" {
			if err := w.speaksAs("events.agent", event.GetAgent()); err != nil {
				return err
			}
		}

		_, failed := event.GetKind().(*eventv1.Event_TurnFailed)
		if w.lease == nil && (failed || w.role == roleAgent) {
			return fault.Invalid(fault.Violation{Field: "lease", Message: "this event needs the lease of its turn"})
		}
	}

	return nil
}

func (w writer) allowed(event *eventv1.Event) bool {
	switch event.GetKind().(type) {
	case *eventv1.Event_TurnAccepted, *eventv1.Event_CancelRequested, *eventv1.Event_InputResolved,
		*eventv1.Event_FeedbackGiven:
		return w.role == roleGateway
	case *eventv1.Event_TurnFailed:
		return w.role == roleGateway || w.role == roleAgent
	case *eventv1.Event_StepStarted, *eventv1.Event_MessagePart, *eventv1.Event_AgentMessage, *eventv1.Event_ToolResult,
		*eventv1.Event_InputRequested, *eventv1.Event_TurnWaiting, *eventv1.Event_Handoff,
		*eventv1.Event_GuardrailTriggered, *eventv1.Event_GuardrailApplied, *eventv1.Event_DocumentsRetrieved,
		*eventv1.Event_MemoriesRecalled, *eventv1.Event_TurnCompleted, *eventv1.Event_TurnCancelled:
		return w.role == roleAgent
	default: // what the store appends itself, and transient events
		return false
	}
}

// mayPublish checks who may show which transient events.
func (w writer) mayPublish(events []*eventv1.Event) error {
	for _, event := range events {
		switch event.GetKind().(type) {
		case *eventv1.Event_TextDelta:
			if w.role == roleAgent {
				continue
			}
		case *eventv1.Event_ToolProgress:
			if w.role == roleAgent || w.role == roleTools {
				continue
			}
		}

		return fault.New(codes.PermissionDenied, "EVENT_NOT_ALLOWED", "events: %s can't publish %T", w, event.GetKind())
	}

	return nil
}

// String names the writer in messages.
func (w writer) String() string {
	if w.role == roleAgent {
		return "agent " + w.agent
	}

	return [...]string{"this workload", "the gateway", "", "the tools service"}[w.role]
}

// turnOf returns the turn that an append speaks about, or "" if it names none.
func turnOf(request *contextv1.AppendRequest) (string, error) {
	turnID := request.GetLease().GetTurnId()

	for _, event := range request.GetEvents() {
		switch named := event.GetTurnId(); {
		case named == "" || named == turnID:
			continue
		case turnID == "":
			turnID = named
		default:
			return "", fault.Invalid(fault.Violation{
				Field: "events.turn_id", Message: "one append can't speak about both turn " + turnID + " and turn " + named,
			})
		}
	}

	return turnID, nil
}

// accepts says whether the events begin a turn.
func accepts(events []*eventv1.Event) bool {
	return slices.ContainsFunc(events, func(event *eventv1.Event) bool { return event.GetTurnAccepted() != nil })
}
