package gateway

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/timestamppb"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
	handoffv1 "github.com/serinhq/serin/gen/serin/handoff/v1"
	"github.com/serinhq/serin/internal/fault"
	"github.com/serinhq/serin/internal/rpc"
)

func TestDispatcherTakesUpALostTurn(t *testing.T) {
	w := newWorld(t)
	agent := w.agents["triage"]
	lost := make(chan struct{})
	agent.plays(func(turn *contextv1.Turn) (*handoffv1.Finished, error) {
		agent.plays(nil)
		close(lost)

		return &handoffv1.Finished{Outcome: handoffv1.Finished_OUTCOME_SUPERSEDED}, nil // and the lease is still held
	})

	id := w.create()
	stream := w.sse("POST", "/v1/conversations/"+id+"/messages", `{"text":"hello"}`)

	<-lost

	accepted := stream.until("turn_accepted")
	w.store.lose(w.store.log(id)[1].GetTurnId())

	if got := slices.Concat(accepted, stream.all()); got[len(got)-2].event != "turn_completed" {
		t.Errorf("got %v", got)
	}
}

func TestDispatcherTakesUpATurnOfAnotherGateway(t *testing.T) {
	w := newWorld(t)
	w.store.grace = 0

	id := w.create()

	w.store.mu.Lock()
	accepted := fakeEvent("t-other", "", &eventv1.TurnAccepted{Text: "hi", Deadline: timestamppb.New(time.Now().Add(time.Minute))})
	w.store.add(id, accepted)
	w.store.mu.Unlock()

	eventually(t, "the turn completes", func() bool {
		log := w.store.log(id)

		return log[len(log)-1].GetTurnCompleted() != nil
	})
}

func TestDispatcherRetriesUntilAnAgentIsThere(t *testing.T) {
	w := newWorld(t)
	agent := w.agents["triage"]
	agent.refuses(fault.New(codes.Unavailable, "DRAINING", "draining"))

	id := w.create()
	stream := w.sse("POST", "/v1/conversations/"+id+"/messages", `{"text":"hello"}`)

	for range 3 {
		<-agent.asked
	}

	agent.refuses(nil)

	if got := stream.all(); got[len(got)-2].event != "turn_completed" {
		t.Errorf("got %v", got)
	}
}

func TestAgentDiesWhileItReports(t *testing.T) {
	w := newWorld(t)
	agent := w.agents["triage"]
	agent.plays(func(turn *contextv1.Turn) (*handoffv1.Finished, error) {
		agent.plays(nil)
		w.store.lose(turn.GetTurnId())

		return nil, fault.New(codes.Unavailable, "", "connection reset")
	})

	if got := w.send(w.create(), "hello"); got.at("turn", "text") != "echo: hello" {
		t.Errorf("got %v", got.body)
	}
}

func TestTurnsThatNoAgentCanTake(t *testing.T) {
	for name, c := range map[string]struct {
		create string
		refuse error
	}{
		"unknown":   {`{"agent":"ghost"}`, nil},
		"forbidden": {``, fault.New(codes.PermissionDenied, "METHOD_NOT_ALLOWED", "not you")},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.agents["triage"].refuses(c.refuse)

			id := w.do("POST", "/v1/conversations", c.create).at("conversation", "conversationId").(string)

			got := w.send(id, "hello")
			if got.at("turn", "state") != "TURN_STATE_FAILED" || got.at("turn", "error", "reason") != "AGENT_UNAVAILABLE" {
				t.Errorf("got %v", got.body)
			}
		})
	}
}

func TestOverdueTurnFails(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Agents[0].Deadline = 50 * time.Millisecond })
	w.agents["triage"].refuses(fault.New(codes.Unavailable, "DRAINING", "draining"))

	got := w.send(w.create(), "hello")
	if got.at("turn", "error", "reason") != "DEADLINE_EXCEEDED" {
		t.Errorf("got %v", got.body)
	}
}

func TestOverdueTurnOfADeadGatewayFails(t *testing.T) {
	w := newWorld(t)
	w.store.grace = 0

	id := w.create()

	w.store.mu.Lock()
	w.store.add(id, fakeEvent("t-old", "", &eventv1.TurnAccepted{Text: "hi", Deadline: timestamppb.New(time.Now().Add(-time.Hour))}))
	w.store.mu.Unlock()

	eventually(t, "the turn fails", func() bool {
		log := w.store.log(id)

		return log[len(log)-1].GetTurnFailed().GetReason() == "DEADLINE_EXCEEDED"
	})

	if len(w.agents["triage"].asked) != 0 {
		t.Error("no agent should have been asked")
	}
}

func TestHandedOffTurnIsPickedUpWhenNobodyTookIt(t *testing.T) {
	w := newWorld(t)
	triage := w.agents["triage"]
	triage.plays(func(turn *contextv1.Turn) (*handoffv1.Finished, error) {
		w.store.mu.Lock()
		w.store.grace = 50 * time.Millisecond
		w.store.mu.Unlock()

		return &handoffv1.Finished{Outcome: handoffv1.Finished_OUTCOME_HANDED_OFF, NextAgent: "billing"},
			w.store.write(turn, &eventv1.Handoff{FromAgent: "triage", ToAgent: "billing"})
	})

	got := w.send(w.create(), "hello")
	if got.at("turn", "agent") != "billing" || strings.Join(strs(got.at("turn", "path")), ">") != "triage>billing" {
		t.Errorf("got %v", got.body)
	}
}

func TestOneTurnIsDispatchedOnceAtATime(t *testing.T) {
	w := newWorld(t)
	w.store.grace = 0 // the poller sees the turn at once, too

	release := make(chan struct{})
	w.agents["triage"].plays(func(turn *contextv1.Turn) (*handoffv1.Finished, error) {
		w.store.lose(turn.GetTurnId()) // the poller would like to have it
		<-release

		return w.agents["triage"].echo(turn)
	})

	id := w.create()
	stream := w.sse("POST", "/v1/conversations/"+id+"/messages", `{"text":"hello"}`)

	stream.until("segment_started")
	w.service.dispatch.poll(t.Context())
	w.service.dispatch.poll(t.Context())
	close(release)
	stream.until("turn_completed")

	if n := len(w.agents["triage"].asked); n != 1 {
		t.Errorf("asked %d times", n)
	}
}

// TestABusyRevisionIsAskedAgain: whoever is refused keeps what was drawn, so that shares stay what the weights say.
func TestABusyRevisionIsAskedAgain(t *testing.T) {
	const stable, candidate = "aaaaaaaaaaaa", "bbbbbbbbbbbb"

	w := newWorld(t)
	triage := w.agents["triage"]
	triage.splits(candidate, stable, candidate)
	triage.refuses(fault.New(codes.ResourceExhausted, "AGENT_BUSY", "full").With(rpc.BusyRevision, stable))

	go func() {
		<-triage.asked
		triage.refuses(nil)
	}()

	if got := w.send(w.create(), "hello"); got.at("turn", "state") != "TURN_STATE_COMPLETED" {
		t.Errorf("got %v", got.body)
	}

	if calls := triage.calls(); len(calls) != 1 || !strings.HasSuffix(calls[0], fmt.Sprintf("%q->%q", stable, stable)) {
		t.Errorf("calls %v", calls)
	}
}

func TestJudge(t *testing.T) {
	for want, errs := range map[verdict][]error{
		verdictLeave: {
			nil, fault.New(codes.FailedPrecondition, "LEASE_HELD", ""), fault.New(codes.FailedPrecondition, "TURN_ENDED", ""),
			fault.New(codes.FailedPrecondition, "TURN_WAITING", ""), fault.New(codes.NotFound, "NOT_FOUND", ""),
		},
		verdictRetry: {
			fault.New(codes.Unavailable, "", ""), fault.New(codes.Unavailable, "DRAINING", ""), fault.New(codes.ResourceExhausted, "AGENT_BUSY", ""),
			fault.New(codes.Internal, "", ""), errors.New("odd"), fault.New(codes.PermissionDenied, "", "RBAC: access denied"),
		},
		verdictReread: {
			fault.New(codes.FailedPrecondition, "NOT_OWNER", ""),
			fault.New(codes.FailedPrecondition, "WRONG_REVISION", ""), fault.New(codes.FailedPrecondition, "REVISION_WITHDRAWN", ""),
		},
		verdictUnavailable: {fault.New(codes.PermissionDenied, "METHOD_NOT_ALLOWED", "")},
	} {
		for _, err := range errs {
			if got := judge(err); got != want {
				t.Errorf("judge(%v) = %d, want %d", err, got, want)
			}
		}
	}
}

func TestNeedsExecutor(t *testing.T) {
	now := time.Now()

	for name, c := range map[string]struct {
		turn *contextv1.Turn
		want bool
	}{
		"nil":     {nil, false},
		"free":    {&contextv1.Turn{Status: contextv1.TurnStatus_TURN_STATUS_RUNNING}, true},
		"held":    {&contextv1.Turn{Status: contextv1.TurnStatus_TURN_STATUS_RUNNING, LeaseHolder: "x", LeaseExpiresAt: timestamppb.New(now.Add(time.Second))}, false},
		"expired": {&contextv1.Turn{Status: contextv1.TurnStatus_TURN_STATUS_RUNNING, LeaseHolder: "x", LeaseExpiresAt: timestamppb.New(now)}, true},
		"waiting": {&contextv1.Turn{Status: contextv1.TurnStatus_TURN_STATUS_INPUT_REQUIRED}, false},
		"ended":   {&contextv1.Turn{Status: contextv1.TurnStatus_TURN_STATUS_COMPLETED}, false},
	} {
		if got := needsExecutor(c.turn, now); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
