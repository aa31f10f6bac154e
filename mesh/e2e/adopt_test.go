package e2e_test

import (
	"context"
	"fmt"
	"maps"
	"testing"
	"time"

	networking "istio.io/client-go/pkg/apis/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	rolloutv1 "github.com/serinhq/serin/gen/serin/rollout/v1"
	"github.com/serinhq/serin/loadtest"
	"github.com/serinhq/serin/mesh/e2e/cluster"
	"github.com/serinhq/serin/mesh/e2e/install"
	"github.com/serinhq/serin/mesh/istio"
)

// handWritten are a weighted route and two subsets as people write them, and an agent that shall be driven by them as they
// are. Only the rule's trafficPolicy is there for Serin's sake: clients without a sidecar speak mTLS where a rule says so,
// and nowhere else.
const handWritten = `
apiVersion: networking.istio.io/v1beta1
kind: VirtualService
metadata:
  name: support-routing
  namespace: serin
spec:
  hosts:
  - support.serin.svc.cluster.local
  http:
  - route:
    - destination:
        host: support
        subset: stable
      weight: 90
    - destination:
        host: support
        subset: canary
      weight: 10
---
apiVersion: networking.istio.io/v1beta1
kind: DestinationRule
metadata:
  name: support-subsets
  namespace: serin
spec:
  host: support
  trafficPolicy:
    tls:
      mode: ISTIO_MUTUAL
  subsets:
  - name: stable
    labels:
      version: stable
  - name: canary
    labels:
      version: canary
---
apiVersion: serin.dev/v1alpha1
kind: Agent
metadata:
  name: support
  namespace: serin
  annotations:
    serin.dev/adopt: "true"
spec:
  description: Answers questions about the product.
  prompt:
    inline: You are a support agent.
  model:
    name: default
  tools:
  - name: clock
  rollout:
    steps: [10, 50, 100]
`

// TestHandWrittenSubsetsAreDriven moves an agent from one revision to the next and to the one after that by the weights of
// two subsets that someone else wrote.
func TestHandWrittenSubsetsAreDriven(t *testing.T) {
	p := serin(t)
	written := p.adopted()
	first := p.rollout("support").GetStable()

	p.slots(100, map[string]string{first: "stable"})

	report := p.talkingTo("support", 3, func(ctx context.Context, load *loadtest.Load) {
		second := p.prompt("support", "\nBe brief.")
		p.await("support", "at 10%", carries(second, 10))
		p.slots(90, map[string]string{first: "stable", second: "canary"})
		more(ctx, t, load, 10)

		p.steer("support", "promote", &rolloutv1.PromoteRolloutRequest{})
		p.await("support", "at 50%", carries(second, 50))
		p.slots(50, map[string]string{first: "stable", second: "canary"})
		more(ctx, t, load, 10)

		p.steer("support", "promote", &rolloutv1.PromoteRolloutRequest{})
		p.await("support", "promoted", settled(rolloutv1.Phase_PHASE_SUCCEEDED, second))
		p.slots(0, map[string]string{first: "stable", second: "canary"})
		more(ctx, t, load, 10)

		// The next one gets the subset that is free, and whoever was there leaves it.
		third := p.prompt("support", "\nBe very brief.")
		p.await("support", "at 10%", carries(third, 10))
		p.slots(10, map[string]string{first: first, second: "canary", third: "stable"})
		more(ctx, t, load, 10)
		p.aborted("support", second)
		p.slots(0, map[string]string{second: "canary"})
		more(ctx, t, load, 10)
	})
	if report.Changes == 0 {
		t.Error("no conversation had to change its revision: nothing was tested")
	}

	p.left(written)
}

// adopted makes the agent and returns the spec of its VirtualService as it was written.
func (p *platform) adopted() map[string]any {
	p.Helper()

	objects, err := cluster.Parse(handWritten)
	p.must(err)

	for _, object := range objects {
		p.must(shared.Client.Create(p.Context(), object))
	}

	ctx, cancel := context.WithTimeout(p.Context(), patience)
	defer cancel()

	p.must(agentReady(ctx, "support"))

	return objects[0].Object
}

// slots waits until the subset stable has so many percent, and the pods of revisions carry the versions that the subsets
// select.
func (p *platform) slots(stable int32, versions map[string]string) {
	p.Helper()

	p.eventually(fmt.Sprintf("stable has %d%%, and pods are in %v", stable, versions), func(ctx context.Context) error {
		service := &networking.VirtualService{}
		if err := shared.Client.Get(ctx, client.ObjectKey{Namespace: install.Namespace, Name: "support-routing"}, service); err != nil {
			return err
		}

		route := service.Spec.GetHttp()[0].GetRoute()
		if route[0].GetWeight() != stable || route[1].GetWeight() != 100-stable {
			return fmt.Errorf("it is %v", route)
		}

		for revision, version := range versions {
			all := p.podsOf("support", revision)
			for i := range all {
				if is := all[i].Labels["version"]; isReady(&all[i]) && is != version {
					return fmt.Errorf("pod %s is of version %s, want %s", all[i].Name, is, version)
				}
			}

			if len(all) == 0 {
				return fmt.Errorf("%s has no pods", revision)
			}
		}

		return nil
	})
}

// talkingTo is whileTalking with one agent alone.
func (p *platform) talkingTo(agent string, rate float64, do func(ctx context.Context, load *loadtest.Load)) *loadtest.Report {
	p.Helper()

	ctx, cancel := context.WithTimeout(context.Background(), 4*patience)
	defer cancel()

	scenario := loadtest.Steady(rate, 0)
	scenario.Think, scenario.Agent = 500*time.Millisecond, agent

	load, err := loadtest.Start(ctx, loadtest.Config{
		URL: p.gateway.URL, Token: p.gateway.Token, Scenario: scenario, Audit: true, MaxOpen: 48, TurnTimeout: 2 * patience,
	})
	p.must(err)

	defer load.Hangup()

	more(ctx, p.T, load, 5)
	do(ctx, load)
	load.Stop()

	report, err := load.Wait()
	p.must(err)
	p.unharmed(report)
	p.inTheMesh()

	return report
}

// left deletes the agent: what others wrote stays, but for the weights.
func (p *platform) left(written map[string]any) {
	p.Helper()

	p.must(shared.Client.Delete(p.Context(), p.agent("support")))
	p.eventually("the agent has gone", func(ctx context.Context) error {
		err := shared.Client.Get(ctx, client.ObjectKeyFromObject(p.named("Agent", "serin.dev/v1alpha1", "support")),
			p.named("Agent", "serin.dev/v1alpha1", "support"))
		if apierrors.IsNotFound(err) {
			return nil
		}

		return fmt.Errorf("it is there: %w", err)
	})

	service, rule := p.service("support-routing"), p.rule("support-subsets")
	if _, marked := service.Annotations[istio.IntentAnnotation]; marked {
		p.Errorf("Serin's mark stays: %v", service.Annotations)
	}

	if is, was := withoutWeights(p, fields(p, service)), withoutWeights(p, written); is != was {
		p.Errorf("the VirtualService was\n%s\nand is\n%s", was, is)
	}

	p.must(shared.Client.Delete(p.Context(), service))
	p.must(shared.Client.Delete(p.Context(), rule))
}

func (*platform) named(kind, version, name string) *unstructured.Unstructured {
	object := &unstructured.Unstructured{}
	object.SetAPIVersion(version)
	object.SetKind(kind)
	object.SetName(name)
	object.SetNamespace(install.Namespace)

	return object
}

// withoutWeights are the routes of a VirtualService but for their weights.
func withoutWeights(p *platform, object map[string]any) string {
	p.Helper()

	routes, _, err := unstructured.NestedSlice(object, "spec", "http")
	p.must(err)

	for _, route := range routes {
		destinations, _ := route.(map[string]any)["route"].([]any)
		for _, destination := range destinations {
			maps.DeleteFunc(destination.(map[string]any), func(field string, _ any) bool { return field == "weight" })
		}
	}

	return fmt.Sprint(routes)
}
