package storetest

import (
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	"github.com/serinhq/serin/internal/rpc"
)

func revisionUseTests() map[string]func(*world) {
	return map[string]func(*world){
		"UnusedAgent":        unusedAgent,
		"UseOfARevision":     useOfARevision,
		"UseByAgent":         useByAgent,
		"MovedPinsCount":     movedPinsCount,
		"WaitingRunsNowhere": waitingRunsNowhere,
		"OpinionsAreNoUse":   opinionsAreNoUse,
		"UnknownIsNoUse":     unknownIsNoUse,
	}
}

// uses lists how much an agent's revisions are used.
func (w *world) uses(agent string) []*contextv1.RevisionUse {
	w.Helper()

	response, err := w.client.ListRevisions(w.as(rpc.Controller), &contextv1.ListRevisionsRequest{Agent: agent})
	w.ok(err)

	return response.GetRevisions()
}

// used fails the test unless the agent's revisions are used like this.
func (w *world) used(agent string, want ...*contextv1.RevisionUse) {
	w.Helper()

	got := w.uses(agent)
	same(w, "revisions of "+agent, len(got), len(want))

	for i := range want {
		equal(w, got[i], want[i])
	}
}

// since is a use that began or ended last at this moment.
func (w *world) since(revision string, pinned, running int64) *contextv1.RevisionUse {
	return &contextv1.RevisionUse{
		Revision: revision, PinnedConversations: pinned, RunningTurns: running, LastActiveAt: timestamppb.New(w.clock.Now()),
	}
}

func unusedAgent(w *world) {
	w.accept(w.open().GetConversationId())
	w.withdraw(revB, revA, 1, false)
	w.used(triage)
}

func useOfARevision(w *world) {
	turn, lease := w.running()
	running := w.since(revA, 1, 1)
	w.used(triage, running)

	w.clock.advance(time.Hour) // the lease has ended, but nobody else has taken it
	w.used(triage, running)

	w.write(triage, turn, lease, completed())
	ended := w.since(revA, 1, 0)
	w.used(triage, ended)

	w.clock.advance(time.Hour)

	next := w.accept(turn.GetConversationId())
	w.used(triage, ended)

	_, lease = w.lease(next.GetTurnId(), triage, revA, holder1)
	began := w.since(revA, 1, 1)
	w.used(triage, began)

	_, err := w.client.ReleaseLease(w.as(triage), &contextv1.ReleaseLeaseRequest{Lease: lease})
	w.ok(err)

	began.RunningTurns = 0
	w.used(triage, began)
}

func useByAgent(w *world) {
	turn, lease := w.running()
	w.write(triage, turn, lease, handoff(triage, billing, nil))
	w.used(billing)

	handed := w.since(revA, 1, 0)
	w.clock.advance(time.Second)
	w.lease(turn.GetTurnId(), billing, revA, holder1)
	w.used(triage, handed)
	w.used(billing, w.since(revA, 1, 1))

	other := w.accept(w.open().GetConversationId())
	w.lease(other.GetTurnId(), triage, revB, holder1)
	w.used(triage, handed, w.since(revB, 1, 1))
}

// movedPinsCount: pins that a withdrawal moved count where they lead, also before they are used.
func movedPinsCount(w *world) {
	turn, lease := w.running()
	w.write(triage, turn, lease, completed())
	w.running()
	w.withdraw(revA, revB, 1, false)

	withdrawn := w.since(revA, 0, 1)
	withdrawn.Withdrawn, withdrawn.Replacement = true, revB
	w.used(triage, withdrawn, &contextv1.RevisionUse{Revision: revB, PinnedConversations: 2})

	w.withdraw(revB, revC, 2, false)

	withdrawn.Replacement = revC
	w.used(triage, withdrawn, &contextv1.RevisionUse{Revision: revC, PinnedConversations: 2})

	next := w.accept(turn.GetConversationId())
	w.clock.advance(time.Second)
	w.lease(next.GetTurnId(), triage, revC, holder1)
	w.used(triage, withdrawn, w.since(revC, 2, 1))
}

func waitingRunsNowhere(w *world) {
	turn, _ := w.suspended()
	suspended := w.since(revA, 1, 0)
	w.used(triage, suspended)
	w.clock.advance(time.Hour)

	w.decide(turn, "c1", approve)
	w.decide(turn, "c2", approve)
	w.used(triage, suspended)
}

func opinionsAreNoUse(w *world) {
	turn, lease := w.running()
	w.write(triage, turn, lease, completed())
	ended := w.since(revA, 1, 0)
	w.clock.advance(time.Hour)

	_, err := w.append(w.gateway(), turn.GetConversationId(), nil, feedback(turn.GetTurnId()))
	w.ok(err)
	w.used(triage, ended)
}

// unknownIsNoUse: a turn that failed before any revision took it used none.
func unknownIsNoUse(w *world) {
	w.unreachable(w.accept(w.open().GetConversationId()))
	w.used(triage)
}
