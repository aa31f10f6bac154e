package agent

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/metadata"

	handoffv1 "github.com/serinhq/serin/gen/serin/handoff/v1"
	"github.com/serinhq/serin/internal/fault"
	"github.com/serinhq/serin/internal/rpc"
)

// passes is a model that hands over to billing, where it answers.
func passes(asked modelAsked) modelReply {
	if asked.Agent == "triage" {
		return modelReply{calls: []modelCall{{"handoff_to_billing", `{"reason":"an invoice"}`}}}
	}

	return modelReply{text: []string{"Paid."}}
}

func startBoth(w *world) {
	w.store.grace = time.Minute // nothing but the handing agent's call makes the next one go on in time
	w.start(to(spec("triage"), "billing"))
	w.start(spec("billing"))
}

func TestAHandoffAsksForThePinnedRevision(t *testing.T) {
	short := strings.Repeat("ab", 6)

	for name, test := range map[string]struct{ pinned, want string }{
		"kept":       {short, "[acme] [" + short + "]"},
		"met before": {"", "[acme] []"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, passes)
			startBoth(w)

			if test.pinned != "" {
				w.store.pin("billing", test.pinned)
			}

			w.begin("triage", "Hello")

			if _, err := w.handoff("triage"); err != nil {
				t.Fatal(err)
			}

			w.eventually("billing is asked", func() bool { return len(w.processes["billing"].wire.calls()) > 0 })
			w.drive()
			w.verify()

			if diff := cmp.Diff([]string{test.want}, w.processes["billing"].wire.calls()[:1]); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAHandoffWaitsForTheRouteOfThePin(t *testing.T) {
	w := newWorld(t, passes)
	startBoth(w)
	w.store.pin("billing", "0123456789ab") // lives elsewhere

	w.begin("triage", "Hello")

	if finished, err := w.handoff("triage"); err != nil || finished.GetNextAgent() != "billing" {
		t.Fatal(finished, err)
	}

	billing := w.processes["billing"].wire
	w.eventually("billing was asked again and again", func() bool { return len(billing.calls()) > 6 })
	w.store.pin("billing", strings.Repeat("ab", 6)) // the pin moved
	w.drive()
	w.verify()

	if called := billing.calls(); called[0] != "[acme] [0123456789ab]" {
		t.Errorf("got %v", called)
	}
}

func TestTheAnswerNamesTheRevision(t *testing.T) {
	w := newWorld(t, says("Hi"))
	w.start(spec("triage"))
	w.begin("triage", "Hello")

	client, err := w.client(w.gateway, "triage")
	if err != nil {
		t.Fatal(err)
	}

	_, turn, _ := w.store.snapshot()

	stream, err := client.Handoff(t.Context(), &handoffv1.HandoffRequest{
		ConversationId: conversation, TurnId: turn.GetTurnId(), ToAgent: "triage",
	})
	if err != nil {
		t.Fatal(err)
	}

	header, err := stream.Header()
	if err != nil {
		t.Fatal(err)
	}

	if diff := cmp.Diff(metadata.Pairs(rpc.HeaderRevision, strings.Repeat("ab", 6))[rpc.HeaderRevision], header.Get(rpc.HeaderRevision)); diff != "" {
		t.Error(diff)
	}

	for err == nil {
		_, err = stream.Recv()
	}
}

func TestARefusalNamesThePin(t *testing.T) {
	w := newWorld(t, says("Hi"))
	w.start(spec("triage"))
	w.store.pin("triage", "0123456789ab")
	w.begin("triage", "Hello")

	_, err := w.handoff("triage")
	if !fault.Is(err, "WRONG_REVISION") || fault.From(err).Metadata["pinned_revision"] != "0123456789ab" {
		t.Errorf("got %v", err)
	}
}

func TestTheMeshMayDecideWhoHandsOff(t *testing.T) {
	gateway, billing, platform := rpc.Identity{Name: rpc.Gateway}, rpc.Identity{Name: "billing"}, rpc.Identity{Name: rpc.Tools}

	for name, test := range map[string]struct {
		callers []string
		agents  bool
	}{
		"the mesh decides": {nil, true},
		"nobody":           {[]string{}, false},
		"named":            {[]string{"billing"}, true},
		"others":           {[]string{"triage"}, false},
	} {
		allows := Policy(test.callers)[handoffv1.HandoffService_Handoff_FullMethodName]
		if !allows(gateway) || allows(platform) || allows(billing) != test.agents {
			t.Errorf("%s: gateway %v, tools %v, billing %v", name, allows(gateway), allows(platform), allows(billing))
		}
	}
}
