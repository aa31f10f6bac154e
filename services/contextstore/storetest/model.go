package storetest

import (
	"cmp"
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
)

// checkModel drives one conversation at random, and compares it after every step with a model that is too dumb to be
// wrong: plain fields, no transactions, no sharing of code with the store.
func checkModel(t *testing.T, open Open) {
	t.Helper()

	shared := newWorld(t, open(t))

	if checks := flag.Lookup("rapid.checks"); Slow && checks.Value.String() == checks.DefValue {
		t.Cleanup(func() { _ = checks.Value.Set(checks.DefValue) }) // it was this before
		_ = checks.Value.Set("30")                                  // a number
	}

	rapid.Check(t, func(t *rapid.T) {
		w := *shared
		w.tester = t
		machine := newMachine(&w)
		shared.serial = w.serial + 1_000_000 // names stay unique over all runs

		t.Repeat(map[string]func(*rapid.T){
			"accept":   machine.accept,
			"acquire":  machine.acquire,
			"renew":    machine.renew,
			"release":  machine.release,
			"append":   machine.append,
			"hand off": machine.handOff,
			"end":      machine.end,
			"fail":     machine.fail,
			"cancel":   machine.cancel,
			"propose":  machine.propose,
			"suspend":  machine.suspend,
			"decide":   machine.decide,
			"claim":    machine.claim,
			"complete": machine.complete,
			"withdraw": machine.withdraw,
			"judge":    machine.judge,
			"advance":  machine.advance,
			"":         machine.compare,
		})
		machine.settle()
	})
}

type (
	turnState string
	callState string
	phase     string
)

const (
	turnRunning turnState = "running"
	turnWaiting turnState = "waiting"
	turnEnded   turnState = "ended"

	callProposed  callState = "proposed"
	callClaimed   callState = "claimed"
	callUnknown   callState = "unknown"
	callCompleted callState = "completed"

	// What the next lease does: begin, restart or resume the segment.
	fresh     phase = "fresh"
	executing phase = "executing"
	resolved  phase = "resolved"
)

// machine is the model of a conversation, and the world that it is compared with.
type machine struct {
	*world

	conversation string
	agents       []string
	owner        string
	log          []string
	pins         map[string]string
	// withdrawn says, by agent, that revA was withdrawn in favour of revB.
	withdrawn map[string]bool

	turn     string // the last one; empty before the first
	state    turnState
	epoch    int64
	holder   string
	revision string // of the holder
	expires  time.Time
	phase    phase
	segment  int32
	canceled bool
	deadline time.Time
	since    time.Time

	calls    []*modelCall
	waitsFor *modelCall

	// forced is the revision of every agent that the turn forces, if any.
	forced string
	// from is the first position of the run's outcomes, and outcomes are what they must be.
	from     int64
	outcomes []string
}

// modelCall is a call of the last turn.
type modelCall struct {
	id, agent, holder string
	state             callState
	idempotent        bool
	expires           time.Time
	asked             bool
	decision          eventv1.Decision
}

func newMachine(w *world) *machine {
	agents := []string{w.fresh("agent"), w.fresh("agent")}

	created, err := w.client.CreateConversation(w.gateway(), &contextv1.CreateConversationRequest{
		RequestId: w.fresh("create"), Tenant: acme, User: ada, Agent: agents[0],
	})
	w.ok(err)

	return &machine{
		world: w, conversation: created.GetConversation().GetConversationId(), agents: agents, owner: agents[0],
		log: []string{"conversation_created"}, pins: map[string]string{}, withdrawn: map[string]bool{}, state: "ended",
		from: w.watch(-1, "").answer().GetPosition() + 1,
	}
}

// expect compares an outcome with the reason that the model predicts; "" means success, and then what follows is done.
func (m *machine) expect(err error, reason string, then func()) {
	m.Helper()

	if reason != "" {
		m.refused(err, reason)

		return
	}

	m.ok(err)
	then()
}

// when is a reason under a condition.
type when struct {
	holds  bool
	reason string
}

// first returns the first reason whose condition holds.
func first(reasons ...when) string {
	for _, one := range reasons {
		if one.holds {
			return one.reason
		}
	}

	return ""
}

func (m *machine) live() bool { return m.holder != "" && m.expires.After(m.clock.Now()) }

// shown draws a lease as an executor might show it: mostly the current one.
func (m *machine) shown(t *rapid.T) *contextv1.LeaseRef {
	if m.turn == "" {
		t.Skip("no turn yet")
	}

	epoch := m.epoch - rapid.SampledFrom([]int64{0, 0, 0, 1}).Draw(t, "epochs behind")
	if epoch < 1 {
		t.Skip("no such epoch")
	}

	return &contextv1.LeaseRef{TurnId: m.turn, Epoch: epoch}
}

func (m *machine) agent(t *rapid.T) string {
	return rapid.SampledFrom([]string{m.owner, m.owner, m.owner, m.agents[0], m.agents[1]}).Draw(t, "agent")
}

// fenced predicts whether an executor may write under a lease.
func (m *machine) fenced(agent string, lease *contextv1.LeaseRef) string {
	return first(
		when{m.state == turnEnded, ended},
		when{lease.GetEpoch() != m.epoch, staleEpoch},
		when{m.holder == "", staleEpoch},
		when{agent != m.owner, notOwner},
	)
}

func (m *machine) free(resumable time.Time) { m.holder, m.expires = "", resumable }

func (m *machine) resume() {
	m.state, m.phase = turnRunning, resolved
	m.deadline = m.deadline.Add(m.clock.Now().Sub(m.since))
	m.free(m.clock.Now())
}

func (m *machine) accept(t *rapid.T) {
	turn := m.fresh("turn")
	event := m.accepted(turn)
	event.GetTurnAccepted().Agent = rapid.SampledFrom([]string{"", "", m.agents[0], m.agents[1]}).Draw(t, "given to")
	forced := rapid.SampledFrom([]string{"", "", revA, revB}).Draw(t, "forced")
	if forced != "" {
		event.GetTurnAccepted().ForcedRevisions = map[string]string{m.agents[0]: forced, m.agents[1]: forced}
	}

	_, err := m.world.append(m.gateway(), m.conversation, nil, event)

	m.expect(err, first(when{m.state != turnEnded, "TURN_IN_PROGRESS"}), func() {
		m.forced = forced
		m.turn, m.state, m.epoch, m.phase, m.segment = turn, turnRunning, 1, fresh, 0
		m.owner = cmp.Or(event.GetTurnAccepted().GetAgent(), m.owner)
		m.canceled, m.calls, m.revision = false, nil, ""
		m.deadline = event.GetTurnAccepted().GetDeadline().AsTime()
		m.free(m.clock.Now().Add(2 * time.Second))
		m.log = append(m.log, "turn_accepted")
	})
}

func (m *machine) acquire(t *rapid.T) {
	if m.turn == "" {
		t.Skip("no turn yet")
	}

	agent := m.agent(t)
	revision := rapid.SampledFrom([]string{revA, revB}).Draw(t, "revision")
	holder := rapid.SampledFrom([]string{holder1, holder2}).Draw(t, "holder")
	again := m.live() && m.holder == holder
	gone := m.withdrawn[agent]
	pin := m.pinned(agent)

	_, err := m.world.acquire(m.turn, agent, revision, holder)
	m.expect(err, first(
		when{m.state == turnEnded, ended},
		when{agent != m.owner, notOwner},
		when{m.state == turnWaiting, "TURN_WAITING"},
		when{m.live() && !again, "LEASE_HELD"},
		when{again, ""},
		when{revision == revA && gone, "REVISION_WITHDRAWN"},
		when{pin != "" && pin != revision, "WRONG_REVISION"},
	), func() {
		if !again {
			m.granted(agent, revision, holder)
		}
	})
}

// pinned is the revision that an agent must have; empty if any will do.
func (m *machine) pinned(agent string) string {
	switch pin, gone := m.pins[agent], m.withdrawn[agent]; {
	case pin == revA && gone:
		return revB
	case pin != "":
		return pin
	case m.forced == revA && gone:
		return ""
	default:
		return m.forced
	}
}

// came notes an outcome of the segment that runs, or of the one that should.
func (m *machine) came(kind, revision string) {
	segment := m.segment
	if m.phase == fresh {
		segment++
	}

	m.outcomes = append(m.outcomes, fmt.Sprintf("%s %s@%s/%d", kind, m.owner, revision, segment))
}

// granted is what a new lease does.
func (m *machine) granted(agent, revision, holder string) {
	switch m.pins[agent] {
	case revision:
	case "":
		m.log = append(m.log, "agent_joined")
	default:
		m.log = append(m.log, "revision_changed")
	}

	switch m.phase {
	case fresh:
		m.segment++
		m.log = append(m.log, "segment_started")
	case resolved:
		m.log = append(m.log, "segment_resumed")
	case executing:
		m.came("lost", m.revision)
		m.log = append(m.log, "segment_restarted")
	}

	m.pins[agent], m.revision, m.phase = revision, revision, executing
	m.epoch++
	m.holder, m.expires = holder, m.clock.Now().Add(ttl)
}

func (m *machine) renew(t *rapid.T) {
	agent, lease := m.agent(t), m.shown(t)
	response, err := m.client.RenewLease(m.as(agent), &contextv1.RenewLeaseRequest{Lease: lease, Ttl: durationOf(ttl)})

	m.expect(err, m.fenced(agent, lease), func() {
		m.expires = m.clock.Now().Add(ttl)
		same(m.world, "cancel", response.GetCancelRequested(), m.canceled)
	})
}

func (m *machine) release(t *rapid.T) {
	agent, lease := m.agent(t), m.shown(t)
	idle := m.state == turnEnded || m.holder == ""
	_, err := m.client.ReleaseLease(m.as(agent), &contextv1.ReleaseLeaseRequest{Lease: lease})

	m.expect(err, first(when{lease.GetEpoch() != m.epoch, staleEpoch}, when{!idle && agent != m.owner, notOwner}), func() {
		if !idle {
			m.free(m.clock.Now())
		}
	})
}

func (m *machine) append(t *rapid.T) {
	agent, lease := m.agent(t), m.shown(t)
	_, err := m.world.append(m.as(agent), m.conversation, lease, part("x"))

	m.expect(err, m.fenced(agent, lease), func() { m.log = append(m.log, "message_part") })
}

func (m *machine) handOff(t *rapid.T) {
	agent, lease := m.agent(t), m.shown(t)
	to := m.agents[rapid.IntRange(0, 1).Draw(t, "to")]
	_, err := m.world.append(m.as(agent), m.conversation, lease, handoff(agent, to, nil))

	m.expect(err, m.fenced(agent, lease), func() {
		m.came("handed_off", m.revision)
		m.owner, m.phase, m.revision = to, fresh, ""
		m.epoch++
		m.free(m.clock.Now().Add(2 * time.Second))
		m.log = append(m.log, "handoff")
	})
}

func (m *machine) end(t *rapid.T) {
	agent, lease := m.agent(t), m.shown(t)
	event := rapid.SampledFrom([]*eventv1.Event{completed(), failed("INTERNAL"), turnCancelled()}).Draw(t, "end")
	_, err := m.world.append(m.as(agent), m.conversation, lease, event)

	m.expect(err, m.fenced(agent, lease), func() {
		m.came(strings.TrimPrefix(kindOf(event), "turn_"), m.revision)
		m.over(kindOf(event))
	})
}

func (m *machine) over(kind string) {
	m.state = turnEnded
	m.free(m.clock.Now())
	m.log = append(m.log, kind)
}

// fail is what a gateway does with a turn past its deadline.
func (m *machine) fail(t *rapid.T) {
	lease := m.shown(t)
	_, err := m.world.append(m.gateway(), m.conversation, lease, failed("DEADLINE_EXCEEDED"))

	m.expect(err, first(
		when{m.state == turnEnded, ended},
		when{lease.GetEpoch() != m.epoch, staleEpoch},
		when{m.live(), "LEASE_HELD"},
	), func() {
		if m.phase == executing {
			m.came("failed by caller", m.revision)
		} else {
			m.came("failed by caller", m.pinned(m.owner))
		}

		m.over("turn_failed")
	})
}

// judge is a user's opinion of the last turn.
func (m *machine) judge(*rapid.T) {
	if m.turn == "" {
		return
	}

	_, err := m.world.append(m.gateway(), m.conversation, nil, feedback(m.turn))
	m.ok(err)
	m.came("thumbs_up", cmp.Or(m.revision, m.pinned(m.owner)))
	m.log = append(m.log, "feedback_given")
}

func (m *machine) cancel(*rapid.T) {
	_, err := m.world.append(m.gateway(), m.conversation, nil, cancelled(ada))

	m.expect(err, first(when{m.state == turnEnded, "NO_ACTIVE_TURN"}), func() {
		m.canceled = true
		m.log = append(m.log, "cancel_requested")

		if m.state == turnWaiting {
			m.resume()
		} else if m.holder == "" {
			m.free(m.clock.Now())
		}
	})
}

func (m *machine) propose(t *rapid.T) {
	agent, lease := m.agent(t), m.shown(t)
	id := m.fresh("call")
	_, err := m.world.append(m.as(agent), m.conversation, lease, message(1, 0, id))

	m.expect(err, m.fenced(agent, lease), func() {
		m.calls = append(m.calls, &modelCall{id: id, agent: agent, state: callProposed})
		m.log = append(m.log, "agent_message")
	})
}

// call draws one of the turn's calls.
func (m *machine) call(t *rapid.T) *modelCall {
	if len(m.calls) == 0 {
		t.Skip("no calls yet")
	}

	return rapid.SampledFrom(m.calls).Draw(t, "call")
}

func (m *machine) suspend(t *rapid.T) {
	agent, lease, call := m.agent(t), m.shown(t), m.call(t)
	_, err := m.world.append(m.as(agent), m.conversation, lease, asked(call.id, approval), waiting(call.id))
	answered := call.decision != eventv1.Decision_DECISION_UNSPECIFIED

	m.expect(err, first(
		when{m.fenced(agent, lease) != "", m.fenced(agent, lease)},
		when{call.state == callCompleted, "CALL_COMPLETED"},
		when{answered, "INPUT_RESOLVED"},
	), func() {
		call.asked, m.waitsFor = true, call
		m.came("waiting", m.revision)
		m.state, m.since, m.phase = turnWaiting, m.clock.Now(), resolved
		m.free(m.clock.Now())
		m.log = append(m.log, "input_requested", "turn_waiting")

		if m.canceled {
			m.resume()
		}
	})
}

func (m *machine) decide(t *rapid.T) {
	call := m.call(t)
	decision := rapid.SampledFrom([]eventv1.Decision{approve, reject}).Draw(t, "decision")
	_, err := m.world.append(m.gateway(), m.conversation, nil, answered(call.id, decision))
	isOpen := call.asked && call.decision == eventv1.Decision_DECISION_UNSPECIFIED

	m.expect(err, first(when{m.state == turnEnded, "NO_ACTIVE_TURN"}, when{!isOpen, "INPUT_NOT_REQUESTED"}), func() {
		call.decision = decision
		m.log = append(m.log, "input_resolved")

		if m.state == turnWaiting && m.waitsFor == call { // a turn may be resumed by a cancel while older questions are open
			m.resume()
		}
	})
}

func (m *machine) claim(t *rapid.T) {
	lease, call := m.shown(t), m.call(t)
	agent := rapid.SampledFrom([]string{call.agent, call.agent, call.agent, m.agents[0], m.agents[1]}).Draw(t, "agent")
	holder := rapid.SampledFrom([]string{holder1, holder2}).Draw(t, "holder")
	idempotent := rapid.Bool().Draw(t, "idempotent")
	response, err := m.client.ClaimCall(m.as("serin-tools"), &contextv1.ClaimCallRequest{
		Lease: lease, ConversationId: m.conversation, CallId: call.id, Tool: refundTool, ArgumentsDigest: digest(arguments),
		Idempotent: idempotent, Holder: holder, Ttl: durationOf(ttl), Agent: agent,
	})

	want, starts := m.decision(call, holder, idempotent)
	renews := call.state == callClaimed && call.holder == holder

	m.expect(err, first(
		when{agent != call.agent, "CALL_NOT_PROPOSED"},
		when{renews, ""},
		when{m.fenced(m.owner, lease) != "", m.fenced(m.owner, lease)},
		when{starts && m.canceled, "CANCEL_REQUESTED"},
		when{starts && call.decision == reject, "CALL_REJECTED"},
		when{starts && call.asked && call.decision != approve, "APPROVAL_REQUIRED"},
	), func() {
		same(m.world, "claim of a call that is "+string(call.state), response.GetStatus(), want)

		switch want { //nolint:exhaustive // the others change nothing
		case granted:
			call.state, call.holder, call.idempotent, call.expires = callClaimed, holder, idempotent, m.clock.Now().Add(ttl)
		case unknown:
			call.state = callUnknown
		}

		if starts {
			m.log = append(m.log, "tool_started")
		}
	})
}

// decision predicts what a claim is answered, and whether the tool starts.
func (m *machine) decision(call *modelCall, holder string, idempotent bool) (contextv1.ClaimCallResponse_Status, bool) {
	switch call.state {
	case callProposed:
		return granted, true
	case callUnknown:
		return unknown, false
	case callCompleted:
		return finished, false
	case callClaimed:
		break
	}

	switch {
	case call.holder == holder:
		return granted, false
	case call.expires.After(m.clock.Now()):
		return inProgress, false
	case call.idempotent && idempotent:
		return granted, true
	default:
		return unknown, false
	}
}

func (m *machine) complete(t *rapid.T) {
	call := m.call(t)
	holder := rapid.SampledFrom([]string{holder1, holder2}).Draw(t, "holder")
	_, err := m.world.complete(m.conversation, call.id, holder)

	m.expect(err, first(when{call.holder != holder, "CLAIM_NOT_HELD"}), func() {
		if call.state != callCompleted {
			call.state = callCompleted
			m.log = append(m.log, "tool_result")
		}
	})
}

func (m *machine) withdraw(t *rapid.T) {
	agent := m.agents[rapid.IntRange(0, 1).Draw(t, "agent")]
	if m.withdrawn[agent] {
		t.Skip("once per agent")
	}

	fence := rapid.Bool().Draw(t, "fence")
	_, err := m.client.Withdraw(m.as("serin-supervisor"), &contextv1.WithdrawRequest{
		Agent: agent, Revision: revA, Replacement: revB, Attempt: 1, Fence: fence, Cause: "undone",
	})
	m.ok(err)

	m.withdrawn[agent] = true
	if fence && m.state == turnRunning && m.owner == agent && m.holder != "" && m.revision == revA {
		m.epoch++
		m.free(m.clock.Now())
	}
}

// settle leaves no work behind for the next run.
func (m *machine) settle() {
	m.clock.advance(time.Hour)

	if m.state != turnEnded {
		_, err := m.world.append(m.gateway(), m.conversation, refOf(m.world.turn(m.turn)), failed("DEADLINE_EXCEEDED"))
		m.ok(err)
	}
}

func (m *machine) advance(t *rapid.T) {
	m.clock.advance(rapid.SampledFrom([]time.Duration{time.Second, ttl / 2, ttl, time.Minute}).Draw(t, "time"))
}

// compare looks at the state of the world.
func (m *machine) compare(*rapid.T) {
	if got := m.kinds(m.conversation); !slices.Equal(got, m.log) {
		m.Fatalf("the log has\n%v, the model\n%v", got, m.log)
	}

	conversation := m.get(m.conversation)
	same(m.world, "conversation's agent", conversation.GetAgent(), m.owner)
	same(m.world, "pins", fmt.Sprint(conversation.GetPins()), fmt.Sprint(m.pins))
	same(m.world, "has an active turn", conversation.GetActiveTurn() != nil, m.state != turnEnded)
	m.compareOutcomes()
	m.compareUse()

	if m.turn == "" {
		return
	}

	turn := m.world.turn(m.turn)
	same(m.world, "owner", turn.GetAgent(), m.owner)
	same(m.world, "epoch", turn.GetEpoch(), m.epoch)
	same(m.world, "holder", turn.GetLeaseHolder(), m.holder)
	same(m.world, "expiry", turn.GetLeaseExpiresAt().AsTime(), m.expires)
	same(m.world, "pinned", turn.GetPinnedRevision(), m.pinned(m.owner))
	same(m.world, "segment", turn.GetSegment(), m.segment)
	same(m.world, "cancel", turn.GetCancelRequested(), m.canceled)
	same(m.world, "deadline", turn.GetDeadline().AsTime(), m.deadline)
	same(m.world, "is running", turn.GetStatus() == contextv1.TurnStatus_TURN_STATUS_RUNNING, m.state == turnRunning)
	same(m.world, "waits", turn.GetStatus() == contextv1.TurnStatus_TURN_STATUS_INPUT_REQUIRED, m.state == turnWaiting)
	same(m.world, "is resumable", slices.Contains(m.resumableIDs(), m.turn),
		m.state == turnRunning && !m.expires.After(m.clock.Now()))
}

func (m *machine) compareOutcomes() {
	stored := m.world.outcomes(m.from)
	got := make([]string, 0, len(stored))

	for _, outcome := range stored {
		same(m.world, "an outcome's conversation", outcome.GetConversationId(), m.conversation)
		same(m.world, "began before it ended", outcome.GetBeganAt().AsTime().After(outcome.GetEndedAt().AsTime()), false)

		got = append(got, told(outcome))
	}

	if !slices.Equal(got, m.outcomes) {
		m.Fatalf("the outcomes are\n%q, the model's\n%q", got, m.outcomes)
	}
}

// compareUse looks at how much the agents' revisions are used, by this one conversation.
func (m *machine) compareUse() {
	for _, agent := range m.agents {
		pins := map[string]int64{m.pins[agent]: 1}
		if m.pins[agent] == revA && m.withdrawn[agent] {
			pins = map[string]int64{revB: 1}
		}

		for _, use := range m.uses(agent) {
			runs := m.state == turnRunning && m.owner == agent && m.holder != "" && m.revision == use.GetRevision()

			same(m.world, "pinned conversations", use.GetPinnedConversations(), pins[use.GetRevision()])
			same(m.world, "runs", use.GetRunningTurns() == 1, runs)
			delete(pins, use.GetRevision())
		}

		delete(pins, "")
		same(m.world, "pins that are not listed", len(pins), 0)
	}
}
