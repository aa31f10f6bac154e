package controller_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	rolloutv1 "github.com/serinhq/serin/gen/serin/rollout/v1"
	"github.com/serinhq/serin/internal/agentspec"
	"github.com/serinhq/serin/internal/fault"
	"github.com/serinhq/serin/mesh/controller"
)

// settle waits until the folder has been looked at a few times.
func settle() { <-time.After(100 * time.Millisecond) }

func TestScalingStartsNoRollout(t *testing.T) {
	w := newWorld(t)
	a := w.write(agentOf("billing", "v1"))
	w.start()
	w.waitReady()

	scaled := agentOf("billing", "v1", func(spec *agentspec.AgentSpec) { spec.Scaling.MaxReplicas = 7 })
	if got := w.write(scaled); got != a {
		t.Fatalf("scaling makes another revision, %s", got)
	}

	w.eventually("the declaration is applied", func() bool {
		return strings.Contains(w.machine.request().GetAgents()[0].GetDeclaration(), `"maxReplicas":7`)
	})

	if got := w.rollout("billing"); got.GetPhase() != rolloutv1.Phase_PHASE_IDLE || got.GetAttempt() != 0 {
		t.Errorf("got %v", got)
	}
}

func TestCommentsChangeNothing(t *testing.T) {
	w := newWorld(t)
	agent := declarationOf(agentOf("billing", "v1"))
	w.file("billing.yaml", agent)
	w.start()
	w.waitReady()

	before := w.rollout("billing")
	w.file("billing.yaml", "# a comment\n"+agent)
	settle()

	if got := w.rollout("billing"); got.GetSequence() != before.GetSequence() || len(w.list().GetProblems()) > 0 {
		t.Errorf("got %v", got)
	}
}

func TestInvalidEditIsReportedAndChangesNothing(t *testing.T) {
	w := newWorld(t)
	w.write(agentOf("billing", "v1"))
	w.start()
	w.waitReady()

	w.file("billing.yaml", "apiVersion: serin.dev/v1alpha1\nkind: Agent\nmetadata: {name: billing}\nspec: {entry: true, promt: x}\n")
	w.eventually("it is reported", func() bool {
		return strings.Contains(strings.Join(w.list().GetProblems(), "\n"), "billing.yaml:4") &&
			strings.Contains(strings.Join(w.rollout("billing").GetProblems(), "\n"), "promt")
	})

	if got := w.rollout("billing"); got.GetPhase() != rolloutv1.Phase_PHASE_IDLE {
		t.Errorf("got %v", got)
	}

	if err := w.service.Ready(t.Context()); err != nil {
		t.Errorf("what runs is not ready any more: %v", err)
	}

	w.write(agentOf("billing", "v2"))
	w.waitPhase("billing", rolloutv1.Phase_PHASE_PROGRESSING)

	if got := w.list().GetProblems(); len(got) > 0 {
		t.Errorf("still reported: %v", got)
	}
}

func TestPromptFilesAreWatched(t *testing.T) {
	w := newWorld(t)
	w.file("prompt.md", "v1")
	w.file("billing.yaml", "apiVersion: serin.dev/v1alpha1\nkind: Agent\nmetadata: {name: billing}\n"+
		"spec: {entry: true, description: d, prompt: {file: prompt.md}}\n")
	w.start()
	w.waitReady()

	if err := os.Remove(filepath.Join(w.folder, "prompt.md")); err != nil {
		t.Fatal(err)
	}

	w.eventually("it is missed", func() bool { return len(w.list().GetProblems()) == 1 })
	w.file("prompt.md", "v2")
	w.waitPhase("billing", rolloutv1.Phase_PHASE_PROGRESSING)
}

func TestOneFileMayDeclareAll(t *testing.T) {
	w := newWorld(t)
	w.write(agentOf("billing", "v1"))
	w.file("broken.yaml", "nonsense")
	w.configure = func(config *controller.Config) { config.Agents = filepath.Join(w.folder, "billing.yaml") }
	w.start()
	w.waitReady()
	w.write(agentOf("billing", "v2"))
	w.waitPhase("billing", rolloutv1.Phase_PHASE_PROGRESSING)

	if got := w.list().GetProblems(); len(got) > 0 {
		t.Errorf("problems: %v", got)
	}
}

func TestWhatAPersonStartedHoldsUntilTheFileChanges(t *testing.T) {
	w := newWorld(t)
	a := w.write(agentOf("billing", "v1"))
	w.start()
	w.waitReady()

	mine := agentOf("billing", "mine")
	if err := w.startRollout(mine, nil); err != nil {
		t.Fatal(err)
	}

	w.waitPhase("billing", rolloutv1.Phase_PHASE_PROGRESSING)
	w.stop()
	w.start()
	settle()
	w.write(agentOf("billing", "v1", func(spec *agentspec.AgentSpec) { spec.Scaling.MaxReplicas = 7 }))
	w.eventually("the declaration is applied", func() bool {
		return strings.Contains(w.machine.request().GetAgents()[0].GetDeclaration(), `"maxReplicas":7`)
	})

	if got := w.rollout("billing"); got.GetCandidate() != short(mine) {
		t.Fatalf("the file that did not change its revision has won: %v", got)
	}

	b := w.write(agentOf("billing", "v2"))
	w.eventually("the file's is the candidate", func() bool { return w.rollout("billing").GetCandidate() == b })

	if got := w.rollout("billing").GetStable(); got != a {
		t.Errorf("stable is %s", got)
	}
}

func TestRemovedAgentGoesWhenItIsIdle(t *testing.T) {
	w := newWorld(t)
	w.write(agentOf("billing", "v1"))
	s := w.write(agentOf("scheduling", "v1"))
	w.start()
	w.waitReady()

	if err := os.Remove(filepath.Join(w.folder, "scheduling.yaml")); err != nil {
		t.Fatal(err)
	}

	w.eventually("it leaves the catalogue", func() bool {
		agents := w.machine.request().GetAgents()

		return len(agents) == 2 && agents[1].GetDeclaration() == "" && len(agents[1].GetRevisions()) == 1
	})
	w.context.use("scheduling", &contextv1.RevisionUse{Revision: s, RunningTurns: 1})
	w.later(25 * time.Hour)
	settle()

	if got := w.machine.running(); len(got) != 2 {
		t.Fatalf("%v run while a turn runs", got)
	}

	w.context.use("scheduling", &contextv1.RevisionUse{Revision: s})
	w.eventually("it is gone", func() bool { return w.rollout("scheduling") == nil && len(w.machine.running()) == 1 })

	if got := w.mesh.routing("scheduling"); len(got.Live) > 0 {
		t.Errorf("the mesh still has %+v", got)
	}

	w.stop()
	w.start()
	w.waitReady()

	again := w.write(agentOf("scheduling", "v2"))
	w.eventually("it is back", func() bool { return w.rollout("scheduling").GetStable() == again })
	w.waitReady()
	w.eventually("conversations that kept the old revision go on", func() bool {
		withdrawn := w.context.withdrawn("scheduling")

		return len(withdrawn) == 1 && withdrawn[0].GetRevision() == s && withdrawn[0].GetReplacement() == again
	})
}

// TestOneAgentKeepsNoOtherWaiting: while the mesh of one is not known, the others are told what their files say.
func TestOneAgentKeepsNoOtherWaiting(t *testing.T) {
	w := newWorld(t)
	w.mesh.setRefuse(func(_, agent string) error {
		if agent == "billing" {
			return fault.New(14, "DOWN", "it is down")
		}

		return nil
	})
	w.write(agentOf("billing", "v1"))
	s := w.write(agentOf("scheduling", "v1"))
	w.start()
	w.eventually("the other one serves", func() bool { return w.rollout("scheduling").GetStable() == s })
	settle() // the first is being told all the time

	began := time.Now()

	w.write(agentOf("scheduling", "v2"))
	w.waitPhase("scheduling", rolloutv1.Phase_PHASE_PROGRESSING)

	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %s", took)
	}

	w.mesh.setRefuse(func(string, string) error { return nil })
	w.waitReady()
}

// TestTheAuditLogHasTheWholeStory: who did what, each with what it changed, to the end of the agent and beyond.
func TestTheAuditLogHasTheWholeStory(t *testing.T) {
	w := newWorld(t)
	w.write(agentOf("billing", "v1"))
	w.write(agentOf("scheduling", "v1"))
	w.start()
	w.waitReady()

	if err := w.startRollout(agentOf("scheduling", "v2"), nil); err != nil {
		t.Fatal(err)
	}

	w.waitPhase("scheduling", rolloutv1.Phase_PHASE_PROGRESSING)

	if _, err := w.abort("scheduling"); err != nil {
		t.Fatal(err)
	}

	w.waitPhase("scheduling", rolloutv1.Phase_PHASE_FAILED)

	if err := os.Remove(filepath.Join(w.folder, "scheduling.yaml")); err != nil {
		t.Fatal(err)
	}

	w.eventually("it is not declared any more", func() bool { return len(w.told("scheduling")) == 5 })
	w.later(25 * time.Hour)
	w.eventually("it is gone", func() bool { return w.rollout("scheduling") == nil })

	want := []string{
		"serin succeed: IDLE 0% -> IDLE 0%", "serin-operator start: IDLE 0% -> PREPARING 0%",
		"serin step: PREPARING 0% -> PROGRESSING 5%", "serin-operator abort: PROGRESSING 5% -> ABORTING 0%",
		"serin remove: FAILED 0% -> FAILED 0%", "serin bury: FAILED 0% -> IDLE 0%",
	}
	if got := w.told("scheduling"); !slices.Equal(got, want) {
		t.Errorf("the log says\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}

	w.write(agentOf("scheduling", "v3"))
	w.eventually("it is back", func() bool {
		return slices.Equal(w.told("scheduling")[len(want):], []string{
			"serin come-back: IDLE 0% -> IDLE 0%", "serin succeed: IDLE 0% -> IDLE 0%",
		})
	})

	if _, err := w.service.ListHistory(w.operator(), &rolloutv1.ListHistoryRequest{Agent: "nobody"}); !fault.Is(err, "AGENT_UNKNOWN") {
		t.Errorf("the history of nobody: %v", err)
	}
}

// told is an agent's history in short, oldest first.
func (w *world) told(agent string) []string {
	w.Helper()

	answer, err := w.service.ListHistory(w.operator(), &rolloutv1.ListHistoryRequest{Agent: agent})
	if err != nil {
		w.Errorf("history: %v", err)
	}

	at := func(snapshot *rolloutv1.Snapshot) string {
		return fmt.Sprintf("%s %d%%", strings.TrimPrefix(snapshot.GetPhase().String(), "PHASE_"), snapshot.GetWeight())
	}

	lines := []string{}
	for _, entry := range answer.GetEntries() {
		lines = append(lines, fmt.Sprintf("%s %s: %s -> %s", entry.GetActor(), entry.GetAction(), at(entry.GetBefore()), at(entry.GetAfter())))
	}

	slices.Reverse(lines)

	return lines
}

func TestStartRefusesWhatDoesNotFit(t *testing.T) {
	w := newWorld(t)
	w.write(agentOf("billing", "v1"))
	w.start()
	w.waitReady()

	start := func(declaration string, plan *rolloutv1.Plan) error {
		_, err := w.service.StartRollout(w.operator(), &rolloutv1.StartRolloutRequest{
			Agent: "billing", Declaration: declaration, Plan: plan,
		})

		return err
	}

	stranger := agentOf("billing", "v2", func(spec *agentspec.AgentSpec) {
		spec.Handoffs = []agentspec.Handoff{{Agent: "shipping"}}
		spec.Tools = []agentspec.Tool{{Name: "crm_find"}, {Name: "clock"}}
	})

	for name, test := range map[string]struct {
		err  error
		want []string
	}{
		"not JSON":      {start("{", nil), []string{"declaration: not a resolved agent"}},
		"not valid":     {start(`{"apiVersion":"serin.dev/v1alpha1","kind":"Agent","metadata":{"name":"billing"},"spec":{}}`, nil), []string{"spec.prompt"}},
		"another agent": {start(declarationOf(agentOf("scheduling", "v1")), nil), []string{`"scheduling" is another agent`}},
		"strangers": {start(declarationOf(stranger), nil), []string{
			`spec.handoffs[0].agent: no agent "shipping"; none is allowed here`,
			`spec.tools[0].name: no MCPServer "crm"; none is allowed here`,
		}},
		"a plan that falls": {start(declarationOf(agentOf("billing", "v2")), &rolloutv1.Plan{Steps: []int32{50, 20}}), []string{"steps: 20"}},
		"stable already":    {start(declarationOf(agentOf("billing", "v1")), nil), []string{"is stable already"}},
	} {
		if test.err == nil {
			t.Errorf("%s: started", name)

			continue
		}

		for _, want := range test.want {
			if !strings.Contains(test.err.Error(), want) {
				t.Errorf("%s: %v, want %q", name, test.err, want)
			}
		}
	}

	if got := w.rollout("billing"); got.GetCandidate() != "" || !slices.Equal(w.machine.running(), []string{"billing-" + got.GetStable()}) {
		t.Errorf("something was started: %v", got)
	}
}
