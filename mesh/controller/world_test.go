package controller_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	rolloutv1 "github.com/serinhq/serin/gen/serin/rollout/v1"
	"github.com/serinhq/serin/internal/agentspec"
	"github.com/serinhq/serin/internal/rpc"
	"github.com/serinhq/serin/mesh/controller"
	"github.com/serinhq/serin/mesh/controller/sqlite"
)

// patience is how long a test waits for what must happen.
const patience = 20 * time.Second

// world is everything around a controller, which can die and be started again in it.
type world struct {
	*testing.T

	mesh    *fakeMesh
	context *fakeContext
	machine *fakeMachine
	folder  string
	path    string
	// ahead is how far the clock is.
	ahead atomic.Int64

	service *controller.Service
	stop    func()
	// configure changes the config of the next start.
	configure func(*controller.Config)
}

func newWorld(t *testing.T) *world {
	t.Helper()

	return &world{
		T: t, mesh: newFakeMesh(), context: newFakeContext(), machine: newFakeMachine(),
		folder: t.TempDir(), path: filepath.Join(t.TempDir(), "rollouts.db"),
		configure: func(*controller.Config) {},
	}
}

func (w *world) now() time.Time { return time.Now().Add(time.Duration(w.ahead.Load())) }

func (w *world) later(by time.Duration) { w.ahead.Add(int64(by)) }

// start runs a controller until the test ends or it is stopped.
func (w *world) start() {
	w.Helper()

	store, err := sqlite.Open(w.Context(), sqlite.Config{Path: w.path})
	if err != nil {
		w.Fatal(err)
	}

	config := controller.Config{
		Agents: w.folder, Router: w.mesh, Workloads: w.machine, Context: w.context, Store: store,
		Interval: 5 * time.Millisecond, FolderInterval: 10 * time.Millisecond, UseInterval: 5 * time.Millisecond,
		Now: w.now,
	}
	w.configure(&config)

	if w.service, err = controller.New(config); err != nil {
		w.Fatal(err)
	}

	ctx, cancel := context.WithCancel(context.WithoutCancel(w.Context()))
	ended := make(chan error, 1)

	go func() { ended <- w.service.Run(ctx) }()

	stopped := false
	w.stop = func() {
		if stopped {
			return
		}

		stopped = true

		cancel()

		if err := <-ended; err != nil {
			w.Error(err)
		}

		if err := store.Close(); err != nil {
			w.Error(err)
		}
	}
	w.Cleanup(w.stop)
}

// as is a context of a caller.
func (w *world) as(name string) context.Context {
	return rpc.ContextWithPeer(w.Context(), rpc.Identity{TrustDomain: rpc.DefaultTrustDomain, Namespace: "default", Name: name})
}

func (w *world) operator() context.Context { return w.as(rpc.Operator) }

// eventually waits until a condition holds.
func (w *world) eventually(what string, holds func() bool) {
	w.Helper()

	for deadline := time.Now().Add(patience); !holds(); {
		if time.Now().After(deadline) {
			w.Fatalf("waited in vain until %s; the rollouts: %v", what, w.list())
		}

		<-time.After(2 * time.Millisecond)
	}
}

func (w *world) list() *rolloutv1.ListRolloutsResponse {
	answer, err := w.service.ListRollouts(w.operator(), &rolloutv1.ListRolloutsRequest{})
	if err != nil {
		w.Errorf("list: %v", err)
	}

	return answer
}

func (w *world) rollout(agent string) *rolloutv1.Rollout {
	for _, rollout := range w.list().GetRollouts() {
		if rollout.GetAgent() == agent {
			return rollout
		}
	}

	return nil
}

func (w *world) waitPhase(agent string, phase rolloutv1.Phase) *rolloutv1.Rollout {
	w.Helper()

	var found *rolloutv1.Rollout

	w.eventually(fmt.Sprintf("%s is %s", agent, phase), func() bool {
		found = w.rollout(agent)

		return found.GetPhase() == phase
	})

	return found
}

func (w *world) waitReady() {
	w.Helper()

	w.eventually("everything is ready", func() bool { return w.service.Ready(w.Context()) == nil })
}

// rollOut starts with one revision of billing, and has a second one under way as its canary. It returns both.
func (w *world) rollOut() (stable, candidate string) {
	w.Helper()

	stable = w.write(agentOf("billing", "v1"))
	w.start()
	w.waitReady()

	candidate = w.write(agentOf("billing", "v2"))
	w.waitPhase("billing", rolloutv1.Phase_PHASE_PROGRESSING)

	return stable, candidate
}

// write puts an agent's file into the folder, and returns the revision that it declares.
func (w *world) write(agent agentspec.Agent) string {
	w.Helper()

	data, err := agentspec.MarshalResolved(agent)
	if err != nil {
		w.Fatal(err)
	}

	w.file(agent.Metadata.Name+".yaml", string(data)) // JSON is YAML

	return agentspec.Short(agentspec.Revision(agent))
}

func (w *world) file(name, content string) {
	w.Helper()

	temporary := filepath.Join(w.TempDir(), name)
	if err := os.WriteFile(temporary, []byte(content), 0o600); err != nil {
		w.Fatal(err)
	}

	if err := os.Rename(temporary, filepath.Join(w.folder, name)); err != nil {
		w.Fatal(err)
	}
}

// agentOf makes an agent.
func agentOf(name, prompt string, edits ...func(*agentspec.AgentSpec)) agentspec.Agent {
	agent := agentspec.Agent{
		APIVersion: agentspec.APIVersion, Kind: agentspec.KindAgent, Metadata: agentspec.Metadata{Name: name},
		Spec: agentspec.AgentSpec{
			Description: "does " + name, Prompt: agentspec.Prompt{Inline: prompt}, Entry: name == "billing",
		},
	}

	for _, edit := range edits {
		edit(&agent.Spec)
	}

	agentspec.Default(&agent)

	return agent
}

func short(agent agentspec.Agent) string { return agentspec.Short(agentspec.Revision(agent)) }

func declarationOf(agent agentspec.Agent) string {
	data, err := agentspec.MarshalResolved(agent)
	if err != nil {
		panic(err)
	}

	return string(data)
}

// startRollout starts a revision of an agent by hand.
func (w *world) startRollout(agent agentspec.Agent, plan *rolloutv1.Plan) error {
	_, err := w.service.StartRollout(w.operator(), &rolloutv1.StartRolloutRequest{
		Agent: agent.Metadata.Name, Declaration: declarationOf(agent), Plan: plan,
	})

	return err
}

func (w *world) abort(agent string) (*rolloutv1.Rollout, error) {
	answer, err := w.service.AbortRollout(w.operator(), &rolloutv1.AbortRolloutRequest{Agent: agent})

	return answer.GetRollout(), err
}
