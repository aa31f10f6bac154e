package e2e_test

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	conversationv1 "github.com/serinhq/serin/gen/serin/conversation/v1"
	handoffv1 "github.com/serinhq/serin/gen/serin/handoff/v1"
	"github.com/serinhq/serin/internal/fault"
	"github.com/serinhq/serin/internal/rpc"
	"github.com/serinhq/serin/mesh/e2e/install"
	"github.com/serinhq/serin/mesh/istio"
)

// TestABusyAgentRefuses limits billing to four segments while 64 users want something of it. What it has no room for it
// refuses at once, by name and limit; the gateway, whose queue is bounded, sends it again until there is room or the turn's
// deadline is over. Nobody else notices.
//
// The limit is the agent's own, spec.scaling.maxConcurrentSegments, per pod. A DestinationRule's http2MaxRequests counts
// per calling process, so that what it protects depends on how many callers there are.
func TestABusyAgentRefuses(t *testing.T) {
	const (
		perPod, pods = 2, 2
		users        = 64
	)

	p := serin(t)
	t.Cleanup(func() { p.scaled("billing", "maxConcurrentSegments", 256) })
	p.scaled("billing", "maxConcurrentSegments", perPod)

	conversations := p.atBilling(users)
	quiet := p.smallTalk(15)

	ctx, stop := context.WithCancel(t.Context())
	knocking := p.knock(ctx, "billing", perPod)

	var (
		group sync.WaitGroup
		took  = make([]time.Duration, users)
	)

	for i, conversation := range conversations {
		group.Go(func() { took[i] = p.heard(conversation, "Show me the details of invoice INV-1003") })
	}

	loud := p.smallTalk(15)

	group.Wait()
	stop()

	refusals := knocking()
	if len(refusals) == 0 {
		t.Fatal("nobody was refused: nothing was tested")
	}

	if median(refusals) > 50*time.Millisecond {
		t.Errorf("refused within %s in the median, want 50ms", median(refusals))
	}

	if median(loud) > median(took)/2 { // both cores are busy, whoever has them; but nobody else waits for billing
		t.Errorf("others took %s while billing's users took %s, and %s before", median(loud), median(took), median(quiet))
	}

	figures.add("limits", fmt.Sprintf("%d users of an agent with %d slots: refused within (p50, max)", users, perPod*pods),
		fmt.Sprintf("%s, %s (%d refusals seen)", shown(median(refusals)), shown(slices.Max(refusals)), len(refusals)))
	figures.add("limits", "their turns (p50, max)", fmt.Sprintf("%s, %s", shown(median(took)), shown(slices.Max(took))))
	figures.add("limits", "another agent's turns before and meanwhile (p50)", shown(median(quiet))+", "+shown(median(loud)))
}

// TestProviderDown has triage's provider refuse everything. Who is asked again and again is not asked much more for that.
func TestProviderDown(t *testing.T) {
	const turns = 400

	p := serin(t)
	provider := startDownProvider(t)
	t.Cleanup(func() { p.provider("triage", "") })
	p.provider("triage", provider.url)

	// What the ambassadors had saved up for retries is gone then, and they may have stopped to ask at all for a while.
	p.refusedTurns(100)

	before, began := provider.asked.Load(), time.Now()
	p.refusedTurns(turns)

	asked := provider.asked.Load() - before
	took := time.Since(began)

	// Each of the two ambassadors may have had less than one retry left.
	if ratio := float64(asked-2) / turns; ratio > 1.2 || provider.asked.Load() == 0 {
		t.Errorf("%d turns asked the provider %d times in %s: want at most 1.2 times as often", turns, asked, took)
	}

	figures.add("limits", "provider down: requests per turn", fmt.Sprintf("%.3f (%d turns in %s)", float64(asked)/turns, turns, shown(took)))
}

// scaled sets a field of spec.scaling, which starts no rollout, and waits until all pods of the agent go by it.
func (p *platform) scaled(agent, field string, value int64) {
	p.Helper()

	p.patched(agent, func(object map[string]any) error {
		return unstructured.SetNestedField(object, value, "spec", "scaling", field)
	}, func(pod *corev1.Pod) bool {
		return slices.ContainsFunc(pod.Spec.Containers[0].Env, func(env corev1.EnvVar) bool {
			return env.Name == "SERIN_MAX_CONCURRENT_SEGMENTS" && env.Value == strconv.FormatInt(value, 10)
		})
	})
}

// provider has an agent's ambassadors ask a provider of our own; with an empty URL the one that they asked before.
func (p *platform) provider(agent, url string) {
	p.Helper()

	p.patched(agent, func(object map[string]any) error {
		if url == "" {
			unstructured.RemoveNestedField(object, "spec", "pod")

			return nil
		}

		return unstructured.SetNestedSlice(object, []any{map[string]any{"name": "ambassador", "env": []any{
			map[string]any{"name": "PRIMARY_PROVIDER", "value": "ollama"}, // nobody bills for it, so that budgets allow it
			map[string]any{"name": "OLLAMA_BASE_URL", "value": url},
			map[string]any{"name": "OLLAMA_MODEL", "value": "none"},
		}}}, "spec", "pod", "spec", "initContainers")
	}, func(pod *corev1.Pod) bool {
		at := slices.IndexFunc(pod.Spec.InitContainers, func(container corev1.Container) bool { return container.Name == "ambassador" })
		has := ""

		for _, env := range pod.Spec.InitContainers[at].Env {
			if env.Name == "OLLAMA_BASE_URL" {
				has = env.Value
			}
		}

		return has == url
	})
}

// patched changes an Agent in a way that starts no rollout, and waits until each of its revisions has two ready pods, and
// only such.
func (p *platform) patched(agent string, change func(map[string]any) error, fits func(*corev1.Pod) bool) {
	p.Helper()

	ctx := context.WithoutCancel(p.Context()) // it is called in a cleanup, too
	before := &unstructured.Unstructured{}
	before.SetAPIVersion("serin.dev/v1alpha1")
	before.SetKind("Agent")
	p.must(shared.Client.Get(ctx, client.ObjectKey{Namespace: install.Namespace, Name: agent}, before))

	after := before.DeepCopy()
	p.must(change(after.Object))
	p.must(shared.Client.Patch(ctx, after, client.MergeFrom(before)))

	deadline, cancel := context.WithTimeout(ctx, patience)
	defer cancel()

	for {
		list := &corev1.PodList{}
		p.must(shared.Client.List(ctx, list, client.InNamespace(install.Namespace), client.MatchingLabels{"app": agent}))

		fitting := map[string]int{}

		for i := range list.Items {
			if isReady(&list.Items[i]) && fits(&list.Items[i]) {
				fitting[list.Items[i].Labels[istio.RevisionLabel]]++
			}
		}

		if len(fitting) > 0 && 2*len(fitting) == len(list.Items) && !slices.ContainsFunc(slices.Collect(maps.Values(fitting)), notTwo) {
			return
		}

		select {
		case <-deadline.Done():
			p.Fatalf("of the %d pods of %s these are as wanted: %v\n%s", len(list.Items), agent, fitting, pods(ctx))
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func notTwo(count int) bool { return count != 2 }

// atBilling begins conversations that have been passed on to billing.
func (p *platform) atBilling(count int) []string {
	p.Helper()

	conversations := make([]string, count)
	inTurn(count, 4, func(i int) {
		conversation, err := p.gateway.Begin(p.Context())
		if err != nil {
			p.Error(err)

			return
		}

		conversations[i] = conversation
		p.heard(conversation, "List the customer invoices of the last months")
	})

	return conversations
}

// heard says something and wants an answer. It returns how long that took.
func (p *platform) heard(conversation, text string) time.Duration {
	began := time.Now()

	turn, err := p.gateway.Say(p.Context(), conversation, text)
	if err != nil || turn.GetState() != conversationv1.TurnState_TURN_STATE_COMPLETED {
		p.Errorf("%q: %v, %v", text, turn, err)
	}

	return time.Since(began)
}

// smallTalk has turns that triage answers alone, one after the other.
func (p *platform) smallTalk(turns int) []time.Duration {
	p.Helper()

	took := make([]time.Duration, turns)

	for i := range took {
		conversation, err := p.gateway.Begin(p.Context())
		p.must(err)

		took[i] = p.heard(conversation, "Hello, what can you do?")
	}

	return took
}

// refusedTurns has turns whose model can't be asked.
func (p *platform) refusedTurns(turns int) {
	p.Helper()

	inTurn(turns, 16, func(int) {
		conversation, err := p.gateway.Begin(p.Context())
		if err != nil {
			p.Error(err)

			return
		}

		turn, err := p.gateway.Say(p.Context(), conversation, "Hello, what can you do?")
		if err != nil || turn.GetState() != conversationv1.TurnState_TURN_STATE_FAILED {
			p.Errorf("%v, %v: want the provider's failure", turn, err)
		}
	})
}

// knock asks an agent's pods for a segment, again and again, until ctx ends. It returns a function that tells how long
// each refusal took that said that there is no room.
func (p *platform) knock(ctx context.Context, agent string, limit int) func() []time.Duration {
	p.Helper()

	list := &corev1.PodList{}
	p.must(shared.Client.List(ctx, list, client.InNamespace(install.Namespace), client.MatchingLabels{"app": agent}))

	var (
		group sync.WaitGroup
		mu    sync.Mutex
		took  []time.Duration
	)

	as := credentials(p.T, install.Namespace, rpc.Gateway)

	for i := range list.Items {
		at := handoffv1.NewHandoffServiceClient(dialPod(p.T, as, &list.Items[i]))

		group.Go(func() {
			for number := 0; ctx.Err() == nil; number++ {
				began := time.Now()
				err := knockOnce(ctx, at, agent, fmt.Sprintf("t-knock-%d-%d", i, number))
				passed := time.Since(began)

				if known := fault.From(err); known.Reason == "AGENT_BUSY" {
					p.saysWhy(known, fmt.Sprintf("%s runs as many segments as it may (%d)", agent, limit))
					mu.Lock()
					took = append(took, passed)
					mu.Unlock()
				}

				wait(ctx, 20*time.Millisecond)
			}
		})
	}

	return func() []time.Duration {
		group.Wait()

		return took
	}
}

// knockOnce asks for a segment of a turn that there is not.
func knockOnce(ctx context.Context, at handoffv1.HandoffServiceClient, agent, turn string) error {
	stream, err := at.Handoff(ctx, &handoffv1.HandoffRequest{ConversationId: "c-knock", TurnId: turn, ToAgent: agent})
	if err != nil {
		return err
	}

	_, err = stream.Recv()

	return err
}

// saysWhy wants a refusal that a program can go by and a person can read.
func (p *platform) saysWhy(refusal *fault.Error, want string) {
	if refusal.Code != codes.ResourceExhausted || refusal.RetryAfter == 0 || !strings.Contains(refusal.Message, want) {
		p.Errorf("refused with %s %q, again after %s: want RESOURCE_EXHAUSTED, %q, and a time", refusal.Code, refusal.Message,
			refusal.RetryAfter, want)
	}
}

// downProvider is a provider of models that refuses every request with 503.
type downProvider struct {
	url   string
	asked atomic.Int64
}

func startDownProvider(t *testing.T) *downProvider {
	t.Helper()

	listener, err := net.Listen("tcp", "10.50.0.1:0")
	if err != nil {
		t.Fatal(err)
	}

	down := &downProvider{url: "http://" + listener.Addr().String() + "/v1"}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/models", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"object": "list", "data": [{"id": "none", "object": "model"}]}`))
	})
	mux.HandleFunc("POST /v1/chat/completions", func(w http.ResponseWriter, _ *http.Request) {
		down.asked.Add(1)
		http.Error(w, `{"error": {"message": "overloaded", "type": "server_error"}}`, http.StatusServiceUnavailable)
	})

	server := &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}
	ended := make(chan error, 1)

	go func() { ended <- server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close(); <-ended })

	return down
}

// inTurn does something so many times, at most some at once.
func inTurn(times, atOnce int, do func(i int)) {
	var (
		group sync.WaitGroup
		slots = make(chan struct{}, atOnce)
	)

	for i := range times {
		slots <- struct{}{}

		group.Go(func() {
			defer func() { <-slots }()

			do(i)
		})
	}

	group.Wait()
}

func wait(ctx context.Context, pause time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(pause):
	}
}

// median is 0 for nothing.
func median(all []time.Duration) time.Duration {
	if len(all) == 0 {
		return 0
	}

	sorted := slices.Sorted(slices.Values(all))

	return sorted[len(sorted)/2]
}

func shown(took time.Duration) string { return took.Round(time.Millisecond / 10).String() }
