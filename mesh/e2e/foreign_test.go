package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	api "istio.io/api/networking/v1alpha3"
	networking "istio.io/client-go/pkg/apis/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	rolloutv1 "github.com/serinhq/serin/gen/serin/rollout/v1"
	"github.com/serinhq/serin/loadtest"
	"github.com/serinhq/serin/mesh/api/v1alpha1"
	"github.com/serinhq/serin/mesh/e2e/install"
	"github.com/serinhq/serin/mesh/istio"
)

// TestWeightsEditedByHand: they are put back, unless the drift policy says to hold; then the agent says so, and an abort
// takes effect all the same.
func TestWeightsEditedByHand(t *testing.T) {
	p := serin(t)
	first := p.rollout("billing").GetStable()

	p.whileTalking(4, func(ctx context.Context, load *loadtest.Load) {
		candidate := p.started("billing", "\nHands off.", 50)

		began := time.Now()

		p.shift("billing", 90)
		p.weighs("billing", candidate, 50)
		figures.add("weights edited by hand", "put back after", since(began))
		more(ctx, t, load, 10)

		p.policy("hold")
		defer p.policy("")

		p.shift("billing", 20)
		p.eventually("the agent says that its mesh has drifted", func(context.Context) error {
			status, reason := conditionWithReason(p.agent("billing"), v1alpha1.ConditionDegraded)
			if status != "True" || reason != v1alpha1.ReasonDrift {
				return fmt.Errorf("%s is %s because %s", v1alpha1.ConditionDegraded, status, reason)
			}

			return nil
		})

		if now := p.split("billing"); now[candidate] != 20 {
			t.Errorf("the policy is to hold, and the mesh says %v", now)
		}

		more(ctx, t, load, 10)
		p.aborted("billing", first)

		if now := p.split("billing"); now[first] != 100 {
			t.Errorf("after an abort the mesh says %v", now)
		}
	})
}

// shift gives a candidate another weight, as someone does who edits the object.
func (p *platform) shift(agent string, weight int32) {
	p.Helper()

	edited(p, p.service(agent), func(service *networking.VirtualService) {
		for _, route := range service.Spec.GetHttp() {
			if route.GetName() == "split" {
				route.GetRoute()[0].Weight, route.GetRoute()[1].Weight = 100-weight, weight
			}
		}
	})
}

// policy sets what becomes of drift; empty means the default.
func (p *platform) policy(drift string) {
	p.Helper()

	edited(p, p.service("billing"), func(service *networking.VirtualService) {
		if drift == "" {
			delete(service.Annotations, istio.DriftAnnotation)
		} else {
			service.Annotations[istio.DriftAnnotation] = drift
		}
	})
}

func conditionWithReason(object *unstructured.Unstructured, kind string) (status, reason string) {
	conditions, _, _ := unstructured.NestedSlice(object.Object, "status", "conditions")
	for _, condition := range conditions {
		if one, ok := condition.(map[string]any); ok && one["type"] == kind {
			return fmt.Sprint(one["status"]), fmt.Sprint(one["reason"])
		}
	}

	return "", ""
}

// TestForeignPartsSurvive has someone else's routes, hosts, subsets and policies in the objects of an agent through a whole
// rollout: not a byte of them may change.
func TestForeignPartsSurvive(t *testing.T) {
	p := serin(t)

	edited(p, p.service("billing"), addForeignRoutes)
	edited(p, p.rule("billing"), addForeignSubsets)

	defer func() {
		edited(p, p.service("billing"), removeForeignRoutes)
		edited(p, p.rule("billing"), removeForeignSubsets)
	}()

	before := p.foreign("billing")

	p.whileTalking(4, func(ctx context.Context, load *loadtest.Load) {
		candidate := p.started("billing", "\nWith company.", 50)
		more(ctx, t, load, 10)
		p.steer("billing", "promote", &rolloutv1.PromoteRolloutRequest{Full: true})
		p.await("billing", "promoted", settled(rolloutv1.Phase_PHASE_SUCCEEDED, candidate))

		again := p.started("billing", "\nOnce more.", 25)
		more(ctx, t, load, 10)
		p.aborted("billing", candidate)
		p.await("billing", "without the one that was aborted", func(r *rolloutv1.Rollout) bool {
			return !slices.ContainsFunc(r.GetRevisions(), func(one *rolloutv1.Revision) bool { return one.GetRevision() == again })
		})
	})

	if after := p.foreign("billing"); after != before {
		t.Errorf("what is not Serin's was\n%s\nand is\n%s", before, after)
	}
}

func vip(name string) *api.HTTPRoute {
	return &api.HTTPRoute{
		Name:    name,
		Match:   []*api.HTTPMatchRequest{{Headers: map[string]*api.StringMatch{"x-vip": {MatchType: &api.StringMatch_Exact{Exact: name}}}}},
		Timeout: durationpb.New(7 * time.Second),
		Retries: &api.HTTPRetry{Attempts: 3, RetryOn: "unavailable"},
		Headers: &api.Headers{Response: &api.Headers_HeaderOperations{Add: map[string]string{"x-served-as": name}}},
		Route:   []*api.HTTPRouteDestination{{Destination: &api.Destination{Host: "billing", Subset: "gold"}}},
	}
}

// addForeignRoutes puts routes before and behind Serin's, headers on its split, and more around them.
func addForeignRoutes(service *networking.VirtualService) {
	service.Labels["team"] = "payments"
	service.Annotations["example.com/runbook"] = "https://example.com/billing?a=1&b=<2>"
	service.Spec.Hosts = append(service.Spec.Hosts, "billing.example.com")

	for _, route := range service.Spec.GetHttp() {
		if route.GetName() == "split" {
			route.Headers = &api.Headers{Request: &api.Headers_HeaderOperations{Set: map[string]string{"x-split": "yes"}}}
		}
	}

	service.Spec.Http = append([]*api.HTTPRoute{vip("first")}, service.Spec.GetHttp()...)
	service.Spec.Http = append(service.Spec.Http, vip("last"))
}

func removeForeignRoutes(service *networking.VirtualService) {
	delete(service.Labels, "team")
	delete(service.Annotations, "example.com/runbook")

	service.Spec.Hosts = slices.DeleteFunc(service.Spec.GetHosts(), func(host string) bool { return host == "billing.example.com" })
	service.Spec.Http = slices.DeleteFunc(service.Spec.GetHttp(), func(route *api.HTTPRoute) bool { return isVIP(route.GetName()) })

	for _, route := range service.Spec.GetHttp() {
		route.Headers = nil
	}
}

func isVIP(route string) bool { return route == "first" || route == "last" }

func addForeignSubsets(rule *networking.DestinationRule) {
	rule.Annotations["example.com/owner"] = "payments"
	rule.Spec.TrafficPolicy.ConnectionPool = &api.ConnectionPoolSettings{
		Http: &api.ConnectionPoolSettings_HTTPSettings{Http2MaxRequests: 777},
	}
	rule.Spec.Subsets = append([]*api.Subset{{
		Name: "gold", Labels: map[string]string{"tier": "gold"},
		TrafficPolicy: &api.TrafficPolicy{LoadBalancer: &api.LoadBalancerSettings{
			LbPolicy: &api.LoadBalancerSettings_Simple{Simple: api.LoadBalancerSettings_ROUND_ROBIN},
		}},
	}}, rule.Spec.GetSubsets()...)
}

func removeForeignSubsets(rule *networking.DestinationRule) {
	delete(rule.Annotations, "example.com/owner")

	rule.Spec.TrafficPolicy.ConnectionPool = nil
	rule.Spec.Subsets = slices.DeleteFunc(rule.Spec.GetSubsets(), func(s *api.Subset) bool { return s.GetName() == "gold" })
}

// foreign is everything in an agent's objects that is not Serin's, as the API server has it.
func (p *platform) foreign(agent string) string {
	p.Helper()

	service, rule := fields(p, p.service(agent)), fields(p, p.rule(agent))

	for _, object := range []map[string]any{service, rule} {
		unstructured.RemoveNestedField(object, "metadata", "annotations", istio.IntentAnnotation)

		for _, moves := range []string{"generation", "managedFields", "resourceVersion"} {
			unstructured.RemoveNestedField(object, "metadata", moves)
		}

		delete(object, "status")
	}

	withoutOwn(p, service, "http", func(route map[string]any) bool {
		name := fmt.Sprint(route["name"])
		if name == "split" {
			delete(route, "route") // the rest of it is someone else's

			return false
		}

		return !isVIP(name)
	})
	withoutOwn(p, rule, "subsets", func(subset map[string]any) bool { return strings.HasPrefix(fmt.Sprint(subset["name"]), "r-") })

	text, err := json.MarshalIndent([]any{service, rule}, "", " ")
	p.must(err)

	return string(text)
}

// withoutOwn takes the elements of a list of a spec away that are Serin's.
func withoutOwn(p *platform, object map[string]any, list string, own func(map[string]any) bool) {
	p.Helper()

	all, _, err := unstructured.NestedSlice(object, "spec", list)
	p.must(err)

	all = slices.DeleteFunc(all, func(one any) bool {
		element, ok := one.(map[string]any)

		return ok && own(element)
	})
	p.must(unstructured.SetNestedSlice(object, all, "spec", list))
}

// TestVirtualServiceDeleted: in the middle of a rollout it is made again as it was.
func TestVirtualServiceDeleted(t *testing.T) {
	p := serin(t)
	first := p.rollout("billing").GetStable()

	p.whileTalking(4, func(ctx context.Context, load *loadtest.Load) {
		p.started("billing", "\nWho needs routes?", 50)

		before := p.service("billing")
		began := time.Now()

		p.must(shared.Client.Delete(ctx, before))
		p.eventually("it is there again, with the same shares", func(ctx context.Context) error {
			now := &networking.VirtualService{}
			if err := shared.Client.Get(ctx, client.ObjectKeyFromObject(before), now); err != nil {
				return err
			}

			if !maps.Equal(splitOf(now), splitOf(before)) || len(now.Spec.GetHttp()) != len(before.Spec.GetHttp()) {
				return fmt.Errorf("it says %v", splitOf(now))
			}

			return nil
		})
		figures.add("VirtualService deleted", "there again, as it was, after", since(began))
		more(ctx, t, load, 15)
		p.aborted("billing", first)
	})
}

// TestOldResourceVersions: who writes what they read before someone else wrote is told so, and who writes all the time
// can't hold up an abort.
func TestOldResourceVersions(t *testing.T) {
	p := serin(t)
	first := p.rollout("billing").GetStable()
	candidate := p.started("billing", "\nA race.", 50)
	old := p.service("billing")

	writing, stop := context.WithCancel(t.Context())
	ended := make(chan int)

	go func() { ended <- scribble(writing) }()

	began := time.Now()

	p.steer("billing", "abort", &rolloutv1.AbortRolloutRequest{Reason: "a race"})
	p.weighs("billing", first, 100)
	figures.add("abort against a busy writer", "in the mesh after", since(began))
	stop()

	if writes := <-ended; writes == 0 {
		t.Error("nobody else wrote")
	}

	old.Spec.Http = []*api.HTTPRoute{{Name: "split", Route: []*api.HTTPRouteDestination{
		{Destination: &api.Destination{Host: old.Spec.GetHosts()[0], Subset: "r-" + candidate}},
	}}}

	if err := shared.Client.Update(t.Context(), old); !apierrors.IsConflict(err) {
		t.Errorf("a write of what was read before the abort came to %v, want a conflict", err)
	}

	p.await("billing", "aborted", settled(rolloutv1.Phase_PHASE_FAILED, first))

	edited(p, p.service("billing"), func(service *networking.VirtualService) { delete(service.Annotations, "example.com/writes") })
}

// scribble writes an annotation as often as it can until ctx ends, and says how often that was.
func scribble(ctx context.Context) int {
	billing, writes := client.ObjectKey{Namespace: install.Namespace, Name: "billing"}, 0

	for ctx.Err() == nil {
		service := &networking.VirtualService{}
		if shared.Client.Get(ctx, billing, service) != nil {
			continue
		}

		service.Annotations["example.com/writes"] = fmt.Sprint(writes)

		if shared.Client.Update(ctx, service) == nil {
			writes++
		}
	}

	return writes
}
