package gateway

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	eventv1 "github.com/serinhq/serin/gen/serin/event/v1"
	rolloutv1 "github.com/serinhq/serin/gen/serin/rollout/v1"
	"github.com/serinhq/serin/internal/fault"
)

const (
	oldRevision = "aaaaaaaaaaaa"
	newRevision = "bbbbbbbbbbbb"
)

func TestCallsFollowThePin(t *testing.T) {
	w := newWorld(t)
	w.agents["triage"].splits(newRevision, oldRevision, newRevision)

	id := w.create()
	w.send(id, "one")
	w.agents["triage"].splits(oldRevision, oldRevision, newRevision)
	w.send(id, "two")

	if diff := cmp.Diff([]string{`default ""->"bbbbbbbbbbbb"`, `default "bbbbbbbbbbbb"->"bbbbbbbbbbbb"`},
		w.agents["triage"].calls()); diff != "" {
		t.Error(diff)
	}
}

func TestAWithdrawnRevisionIsLeftWithoutFailing(t *testing.T) {
	w := newWorld(t)
	triage := w.agents["triage"]
	triage.splits(newRevision, oldRevision, newRevision)

	id := w.create()
	w.send(id, "one")
	w.store.withdraw("triage", newRevision, oldRevision) // and the routes do not know yet

	if got := w.send(id, "two"); got.at("turn", "text") != "echo: two" {
		t.Errorf("got %v", got.body)
	}

	if got := w.send(w.create(), "three"); got.at("turn", "text") != "echo: three" {
		t.Errorf("got %v", got.body)
	}

	if diff := cmp.Diff([]string{
		`default ""->"bbbbbbbbbbbb"`,
		`default "aaaaaaaaaaaa"->"aaaaaaaaaaaa"`,
		`default ""->"bbbbbbbbbbbb"`, `default "aaaaaaaaaaaa"->"aaaaaaaaaaaa"`,
	}, triage.calls()); diff != "" {
		t.Error(diff)
	}
}

func TestATurnWaitsForTheRouteOfItsPin(t *testing.T) {
	w := newWorld(t)
	triage := w.agents["triage"]
	triage.splits(newRevision)

	id := w.create()
	w.send(id, "one")
	triage.splits(oldRevision, oldRevision)

	stream := w.sse("POST", "/v1/conversations/"+id+"/messages", `{"text":"two"}`)

	eventually(t, "the call was sent again and again", func() bool { return len(triage.calls()) > 6 })
	triage.splits(oldRevision, oldRevision, newRevision)

	if got := stream.all(); got[len(got)-2].event != "turn_completed" {
		t.Errorf("got %v", got)
	}

	if called := triage.calls(); called[len(called)-1] != `default "bbbbbbbbbbbb"->"bbbbbbbbbbbb"` {
		t.Errorf("got %v", called)
	}
}

func TestOperatorsForceRevisions(t *testing.T) {
	for header, want := range map[string]map[string]string{
		newRevision:                              {"triage": newRevision},
		"triage=" + newRevision:                  {"triage": newRevision},
		"billing=" + newRevision:                 {"billing": newRevision},
		newRevision + ", billing=" + oldRevision: {"triage": newRevision, "billing": oldRevision},
		newRevision + "," + newRevision:          {"triage": newRevision},
	} {
		t.Run(header, func(t *testing.T) {
			w := newWorld(t)
			w.agents["triage"].splits(oldRevision, oldRevision, newRevision)

			id := w.create()
			if got := w.do("POST", "/v1/conversations/"+id+"/messages", `{"text":"x"}`, "Serin-Revision", header); got.status != 200 {
				t.Fatalf("got %v", got.body)
			}

			accepted := accepted(t, w.store.log(id))
			if diff := cmp.Diff(want, accepted.GetForcedRevisions()); diff != "" {
				t.Error(diff)
			}

			landed := oldRevision
			if want["triage"] != "" {
				landed = want["triage"]
			}

			if called := w.agents["triage"].calls(); !strings.HasSuffix(called[len(called)-1], `->"`+landed+`"`) {
				t.Errorf("got %v, want %s", called, landed)
			}
		})
	}
}

func accepted(t *testing.T, log []*eventv1.Event) *eventv1.TurnAccepted {
	t.Helper()

	at := slices.IndexFunc(log, func(event *eventv1.Event) bool { return event.GetTurnAccepted() != nil })
	if at < 0 {
		t.Fatal("no turn was accepted")
	}

	return log[at].GetTurnAccepted()
}

func TestMalformedForcedRevisions(t *testing.T) {
	w := newWorld(t)
	id := w.create()

	for header, want := range map[string]string{
		"latest":                               "12 hex digits",
		"AAAAAAAAAAAA":                         "lower case",
		"triage=":                              "12 hex digits",
		"=" + newRevision:                      "no such agent",
		"nobody=" + newRevision:                "there are: triage, billing",
		newRevision + ",":                      `"" is not`,
		newRevision + ",triage=" + oldRevision: "two revisions of triage",
	} {
		got := w.do("POST", "/v1/conversations/"+id+"/messages", `{"text":"x"}`, "serin-revision", header)
		if got.status != 400 || !strings.Contains(got.violation("serin-revision"), want) {
			t.Errorf("%q: %d %v, want 400 and %q", header, got.status, got.body, want)
		}
	}

	if log := w.store.log(id); len(log) != 1 {
		t.Errorf("something was appended: %v", log)
	}
}

func TestAForcedRevisionIsPartOfTheMessage(t *testing.T) {
	w := newWorld(t)
	w.agents["triage"].splits(oldRevision, oldRevision, newRevision)
	path := "/v1/conversations/" + w.create() + "/messages"

	first := w.do("POST", path, `{"text":"x"}`, "Idempotency-Key", "k", "Serin-Revision", newRevision)
	again := w.do("POST", path, `{"text":"x"}`, "Idempotency-Key", "k", "Serin-Revision", "triage="+newRevision)

	if first.status != 200 || again.at("turn", "turnId") != first.at("turn", "turnId") {
		t.Errorf("got %v and %v", first.body, again.body)
	}

	if other := w.do("POST", path, `{"text":"x"}`, "Idempotency-Key", "k"); other.reason() != "REQUEST_ID_REUSED" {
		t.Errorf("got %v", other.body)
	}
}

// liveRollouts knows two revisions of triage, one of which is given up.
type liveRollouts struct{ rolloutv1.RolloutServiceClient }

func (liveRollouts) GetRollout(
	_ context.Context, req *rolloutv1.GetRolloutRequest, _ ...grpc.CallOption,
) (*rolloutv1.GetRolloutResponse, error) {
	if req.GetAgent() != "triage" {
		return nil, fault.New(codes.Unavailable, "", "down")
	}

	return &rolloutv1.GetRolloutResponse{Rollout: &rolloutv1.Rollout{Agent: "triage", Revisions: []*rolloutv1.Revision{
		{Revision: oldRevision, Role: "stable"}, {Revision: newRevision, Role: "rejected"},
	}}}, nil
}

func TestOnlyLiveRevisionsAreForced(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Rollouts = liveRollouts{} })
	w.agents["triage"].splits(oldRevision, oldRevision)

	for header, want := range map[string]string{
		oldRevision:              "",
		"billing=" + newRevision: "", // nobody knows
		newRevision:              "no live revision of triage; there are: aaaaaaaaaaaa (stable)",
		"triage=cccccccccccc":    "no live revision of triage; there are: aaaaaaaaaaaa (stable)",
	} {
		got := w.do("POST", "/v1/conversations/"+w.create()+"/messages", `{"text":"x"}`, "serin-revision", header)
		if (got.status == 200) != (want == "") || !strings.Contains(got.violation("serin-revision"), want) {
			t.Errorf("%q: %d %v, want %q", header, got.status, got.body, want)
		}
	}
}

func FuzzParseForced(f *testing.F) {
	f.Add("triage", newRevision)
	f.Add("triage", "triage="+newRevision+", billing="+oldRevision)
	f.Add("", "=")
	f.Fuzz(func(t *testing.T, owner, header string) {
		forced, err := parseForced(agents{{Name: "triage"}, {Name: "billing"}}, owner, header)
		if err != nil {
			if fault.CodeOf(err) != codes.InvalidArgument {
				t.Errorf("got %v", err)
			}

			return
		}

		if len(forced) == 0 || len(forced) > maxForced {
			t.Errorf("%q: %d revisions", header, len(forced))
		}

		for agent, revision := range forced {
			if !revisionName.MatchString(revision) || agent != owner && agent != "triage" && agent != "billing" {
				t.Errorf("%q: %q=%q", header, agent, revision)
			}
		}
	})
}

func TestUsersForceNothing(t *testing.T) {
	w := newWorld(t, withTokens(t))
	w.agents["triage"].splits(oldRevision, oldRevision, newRevision)
	id := w.create(bearer(annToken)...)

	got := w.do("POST", "/v1/conversations/"+id+"/messages", `{"text":"x"}`, append(bearer(annToken), "Serin-Revision", newRevision)...)
	if forced := accepted(t, w.store.log(id)).GetForcedRevisions(); got.status != 200 || len(forced) != 0 {
		t.Errorf("got %v, forced %v", got.body, forced)
	}
}
