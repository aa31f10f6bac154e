package controller_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"

	rolloutv1 "github.com/serinhq/serin/gen/serin/rollout/v1"
	"github.com/serinhq/serin/internal/agentspec"
	"github.com/serinhq/serin/internal/fault"
	"github.com/serinhq/serin/internal/rpc"
	"github.com/serinhq/serin/internal/rpc/rpctest"
	"github.com/serinhq/serin/mesh/controller"
)

func TestMethodsAreForOperatorsOnly(t *testing.T) {
	w := newWorld(t)
	w.start()

	rig := rpctest.Start(t, "serin-controller", controller.Policy(), func(registrar grpc.ServiceRegistrar) {
		w.service.Register(registrar)
	})
	rpctest.WalkMethods(t, rig.Server, rig.Dial, controller.Policy())

	client := rolloutv1.NewRolloutServiceClient(rig.Dial(t, rpc.Gateway))
	if _, err := client.ListRollouts(t.Context(), &rolloutv1.ListRolloutsRequest{}); err != nil {
		t.Error(err)
	}

	if _, err := client.GetRollout(t.Context(), &rolloutv1.GetRolloutRequest{Agent: "nobody"}); !fault.Is(err, "AGENT_UNKNOWN") {
		t.Errorf("a rollout of nobody: %v", err)
	}
}

func TestWatchSendsWhatChanges(t *testing.T) {
	w := newWorld(t)
	w.write(agentOf("billing", "v1"))
	w.write(agentOf("scheduling", "v1"))
	w.start()
	w.waitReady()

	rig := rpctest.Start(t, "serin-controller", controller.Policy(), func(registrar grpc.ServiceRegistrar) {
		w.service.Register(registrar)
	})

	stream, err := rolloutv1.NewRolloutServiceClient(rig.Dial(t, rpc.Operator)).
		WatchRollouts(t.Context(), &rolloutv1.WatchRolloutsRequest{})
	if err != nil {
		t.Fatal(err)
	}

	first, err := stream.Recv()
	if err != nil || len(first.GetRollouts()) != 2 {
		t.Fatalf("first came %v, %v", first, err)
	}

	w.write(agentOf("scheduling", "v2"))

	for phase := first.GetRollouts()[1].GetPhase(); phase != rolloutv1.Phase_PHASE_PROGRESSING; {
		news, err := stream.Recv()
		if err != nil || len(news.GetRollouts()) != 1 || news.GetRollouts()[0].GetAgent() != "scheduling" {
			t.Fatalf("then came %v, %v", news, err)
		}

		phase = news.GetRollouts()[0].GetPhase()
	}

	w.service.Drain()

	for err == nil {
		_, err = stream.Recv()
	}

	if !fault.Is(err, "DRAINING") {
		t.Errorf("the watch ended with %v", err)
	}
}

// TestWatchesOfWhatGoes: a watch of one agent ends with it, one of all says that it is gone.
func TestWatchesOfWhatGoes(t *testing.T) {
	w := newWorld(t)
	w.write(agentOf("billing", "v1"))
	w.write(agentOf("scheduling", "v1"))
	w.start()
	w.waitReady()

	rig := rpctest.Start(t, "serin-controller", controller.Policy(), func(registrar grpc.ServiceRegistrar) {
		w.service.Register(registrar)
	})

	client := rolloutv1.NewRolloutServiceClient(rig.Dial(t, rpc.Operator))

	stream, err := client.WatchRollouts(t.Context(), &rolloutv1.WatchRolloutsRequest{Agent: "scheduling"})
	if err != nil {
		t.Fatal(err)
	}

	all, err := client.WatchRollouts(t.Context(), &rolloutv1.WatchRolloutsRequest{})
	if err != nil {
		t.Fatal(err)
	}

	if err := os.Remove(filepath.Join(w.folder, "scheduling.yaml")); err != nil {
		t.Fatal(err)
	}

	w.eventually("it is not declared any more", func() bool { return len(w.told("scheduling")) == 2 })
	w.later(25 * time.Hour)

	for err == nil {
		_, err = stream.Recv()
	}

	if !fault.Is(err, "AGENT_UNKNOWN") {
		t.Errorf("the watch ended with %v", err)
	}

	for gone := []string(nil); len(gone) == 0; {
		news, err := all.Recv()
		if err != nil {
			t.Fatal(err)
		}

		if gone = news.GetGone(); len(gone) > 0 && !slices.Equal(gone, []string{"scheduling"}) {
			t.Errorf("%v is gone", gone)
		}
	}
}

func TestHistoryHasPages(t *testing.T) {
	w := newWorld(t)
	w.rollOut()

	for weight := range int32(5) {
		if _, err := w.service.SetWeight(w.operator(), &rolloutv1.SetWeightRequest{Agent: "billing", Weight: 10 + weight}); err != nil {
			t.Fatal(err)
		}
	}

	actions, token := []string{}, ""

	for {
		page, err := w.service.ListHistory(w.operator(), &rolloutv1.ListHistoryRequest{
			Agent: "billing", PageSize: 3, PageToken: token,
		})
		if err != nil {
			t.Fatal(err)
		}

		for _, entry := range page.GetEntries() {
			actions = append(actions, entry.GetActor()+" "+entry.GetAction())
		}

		if token = page.GetNextPageToken(); token == "" {
			break
		}
	}

	want := strings.Repeat("serin-operator set-weight\n", 5) + "serin step\nserin start\nserin succeed"
	if got := strings.Join(actions, "\n"); got != want {
		t.Errorf("the history is\n%s\nwant\n%s", got, want)
	}

	for _, token := range []string{"x", "-1", "0"} {
		_, err := w.service.ListHistory(w.operator(), &rolloutv1.ListHistoryRequest{Agent: "billing", PageToken: token})
		if err == nil {
			t.Errorf("the page token %q was taken", token)
		}
	}
}

func TestRevisionsCanBeRead(t *testing.T) {
	w := newWorld(t)
	one, two := agentOf("billing", "v1"), agentOf("billing", "v2")
	w.write(one)
	w.start()
	w.waitReady()

	get := func(name string) (*rolloutv1.GetRevisionResponse, error) {
		return w.service.GetRevision(w.operator(), &rolloutv1.GetRevisionRequest{Agent: "billing", Revision: name})
	}

	if _, err := get("candidate"); !fault.Is(err, "REVISION_UNKNOWN") {
		t.Errorf("a candidate that is not there: %v", err)
	}

	w.write(two)
	w.waitPhase("billing", rolloutv1.Phase_PHASE_PROGRESSING)

	for name, want := range map[string]agentspec.Agent{
		"stable": one, "candidate": two, short(one): one, agentspec.Revision(two): two,
	} {
		got, err := get(name)
		if err != nil || got.GetRevision() != agentspec.Revision(want) || got.GetDeclaration() != declarationOf(want) {
			t.Errorf("%s is %v, %v", name, got, err)
		}
	}

	if _, err := get("0123456789ab"); !fault.Is(err, "REVISION_UNKNOWN") {
		t.Errorf("a revision of nobody: %v", err)
	}
}

func TestAnswersWaitForTheStart(t *testing.T) {
	w := newWorld(t)

	service, err := controller.New(controller.Config{
		Router: w.mesh, Workloads: w.machine, Context: w.context, Store: &slowStore{},
	})
	if err != nil {
		t.Fatal(err)
	}

	ctx, cancel := context.WithCancel(w.operator())
	cancel()

	if _, err := service.ListRollouts(ctx, &rolloutv1.ListRolloutsRequest{}); !fault.Is(err, "STARTING") {
		t.Errorf("got %v", err)
	}

	if err := service.Ready(t.Context()); !fault.Is(err, "STARTING") {
		t.Errorf("ready: %v", err)
	}
}

// TestAnswersDoNotWaitForever: a controller that does not lead never starts, and whoever came to it must ask another.
func TestAnswersDoNotWaitForever(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		service, err := controller.New(controller.Config{
			Router: newFakeMesh(), Workloads: newFakeMachine(), Context: newFakeContext(), Store: &slowStore{},
		})
		if err != nil {
			t.Fatal(err)
		}

		if _, err := service.ListRollouts(t.Context(), &rolloutv1.ListRolloutsRequest{}); !fault.Is(err, "STARTING") {
			t.Errorf("got %v", err)
		}
	})
}
