package agent

import (
	"cmp"
	"context"
	"sync"
	"time"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	handoffv1 "github.com/serinhq/serin/gen/serin/handoff/v1"
	"github.com/serinhq/serin/internal/fault"
	"github.com/serinhq/serin/internal/rpc"
)

// passGrace is how long the next agent is asked to go on; afterwards the gateway's dispatcher does it.
const passGrace = 2 * time.Second

// passOn tells the next agent that the turn is its own now, and keeps listening in the background until it has finished
// its segment. Nothing depends on it: the log already says who goes on.
func (s *Service) passOn(ctx context.Context, t *tenure) {
	accepted := make(chan struct{})

	s.background.Go(func() { s.pass(ctx, t, func() { close(accepted) }) })

	timer := time.NewTimer(passGrace)
	defer timer.Stop()

	select {
	case <-accepted:
	case <-timer.C:
	case <-s.alive.Done():
	}
}

func (s *Service) pass(ctx context.Context, t *tenure, accepted func()) {
	ctx, span := s.beginHandoff(ctx, t)

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	undo := context.AfterFunc(s.alive, cancel) //nolint:contextcheck // the service's life ends it too
	defer undo()

	grace := time.AfterFunc(passGrace, cancel)
	defer grace.Stop()

	var once sync.Once

	take := func() {
		once.Do(func() {
			grace.Stop()
			span.End()
			accepted()
		})
	}
	defer take()

	for wait := 20 * time.Millisecond; ; wait = min(2*wait, 500*time.Millisecond) {
		err := s.follow(ctx, t, take)
		if err == nil {
			return
		}

		revision, busy := rpc.Busy(err)
		t.route.Revision = cmp.Or(t.route.Revision, revision)

		if ctx.Err() != nil || !retryable(err) && !misrouted(err) && !busy {
			s.config.Telemetry.Logger.InfoContext(ctx, "left to the dispatcher",
				"agent", s.name, "turn", t.turnID, "to", t.next, "error", err)

			return
		}

		pause(ctx, max(wait, fault.From(err).RetryAfter))
	}
}

// routeTo is the route to the agent that owns the turn now: to the revision that the conversation keeps.
func routeTo(agent string, turn *contextv1.Turn) rpc.Route {
	if agent == "" || turn.GetAgent() != agent {
		return rpc.Route{}
	}

	return rpc.Route{Revision: turn.GetPinnedRevision(), Tenant: turn.GetTenant()}
}

// misrouted reports whether the call reached another revision than the conversation keeps, though the client asked for
// that one: its route is not known here yet.
func misrouted(err error) bool { return fault.Is(err, "WRONG_REVISION", "REVISION_WITHDRAWN") }

// follow asks the next agent once and listens until its segment has ended.
func (s *Service) follow(ctx context.Context, t *tenure, accepted func()) error {
	client, err := s.config.Handoff(t.next)
	if err != nil {
		return err
	}

	stream, err := client.Handoff(rpc.WithRoute(ctx, t.route), &handoffv1.HandoffRequest{
		ConversationId: t.conversation, TurnId: t.turnID, FromAgent: s.name, ToAgent: t.next,
	})
	if err != nil {
		return err
	}

	for {
		report, err := stream.Recv()
		if err != nil {
			return err
		}

		if report.GetAccepted() != nil {
			accepted()
		}

		if report.GetFinished() != nil {
			return nil
		}
	}
}
