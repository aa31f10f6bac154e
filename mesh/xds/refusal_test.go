package xds

import (
	"strconv"
	"strings"
	"testing"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// otherSplit is a VirtualService of other: any header makes a version.
func otherSplit(header string) string {
	return billingOther + "\n---\n" + `
kind: VirtualService
metadata: {name: other}
spec:
  hosts: [other]
  http:
  - match: [{headers: {x: {exact: ` + header + `}}}]
    route: [{destination: {host: other}}]
`
}

// routesOfTwo is a client that has the routes of two services.
func routesOfTwo(t *testing.T) (*plane, *raw) {
	t.Helper()

	p := startPlane(t, billing("a=100", "a")+otherSplit("a"), nil)
	r := dial(t, p.address, testNode)

	r.ask(Routes, billingRoutes, otherRoutes)
	r.take(Routes)
	p.reconciled(t, "VirtualService billing 1", metav1.ConditionTrue)
	p.reconciled(t, "VirtualService other 1", metav1.ConditionTrue)

	return p, r
}

// An answer is about what was sent, and about nothing that was refused before.
func TestRefusedStaysRefused(t *testing.T) {
	p, r := routesOfTwo(t)

	changed := strings.Replace(billing("a=100", "a"), "exact: a", "exact: z", 1)
	p.store.set(t, changed+otherSplit("a"))
	r.receive(Routes)
	r.send(Routes, "bad")
	p.reconciled(t, "VirtualService billing 2", metav1.ConditionFalse)

	p.store.set(t, changed+otherSplit("b"))

	if got := r.take(Routes); got != 1 {
		t.Errorf("%d routes, want the other's", got)
	}

	p.reconciled(t, "VirtualService other 2", metav1.ConditionTrue)

	if got := p.store.reconciled("VirtualService billing 2").Status; got != metav1.ConditionFalse {
		t.Errorf("what was refused became %s", got)
	}

	p.store.set(t, billing("a=100", "a")+otherSplit("b"))
	r.take(Routes)
	p.reconciled(t, "VirtualService billing 3", metav1.ConditionTrue)
}

// Of several that were refused together, each is sent by itself: one is the culprit.
func TestCulpritIsFound(t *testing.T) {
	p, r := routesOfTwo(t)

	p.store.set(t, strings.Replace(billing("a=100", "a"), "exact: a", "exact: z", 1)+otherSplit("b"))

	if got := r.receive(Routes); got != 2 {
		t.Fatalf("%d routes, want both", got)
	}

	r.send(Routes, "one of them is bad")

	for i := range 2 {
		if got := r.receive(Routes); got != 1 {
			t.Fatalf("%d routes, want one", got)
		}

		if i == 0 && p.store.reconciled("VirtualService billing 2").Status != "" {
			t.Error("judged before it was sent alone")
		}

		refusal := ""
		if strings.Contains(string(r.last[Routes].GetResources()[0].GetValue()), billingRoutes) {
			refusal = "bad"
		}

		r.send(Routes, refusal)
	}

	p.reconciled(t, "VirtualService other 2", metav1.ConditionTrue)

	if got := p.reconciled(t, "VirtualService billing 2", metav1.ConditionFalse); !strings.HasSuffix(got, ": bad") {
		t.Errorf("message %q", got)
	}
}

// Complete responses cannot be taken apart: the refusal says which resource it is, or any of the new ones may be it.
func TestRefusalOfCompleteResponses(t *testing.T) {
	for refusal, want := range map[string]string{
		"resource " + strconv.Quote("b") + ": bad": "a=2 b! c=1", "something is bad": "a! b! c=1", "": "a=2 b=2 c=1",
	} {
		c := &channel{kind: Cluster}
		c.subscribe([]string{"a", "b", "c"})

		send := func(versions string, refusal string) {
			w := &world{resources: newResources()}
			for pair := range strings.FieldsSeq(versions) {
				name, version, _ := strings.Cut(pair, "=")
				w.resources.add(Cluster, &Resource{Name: name, Version: version})
			}

			c.answer(c.respond(w, time.Now()).GetNonce(), refusal, time.Now())
		}

		send("a=1 b=1 c=1", "")
		send("a=2 b=2 c=1", refusal)

		got := ""

		for _, name := range sortedKeys(c.names) {
			if held := c.names[name]; held.refused != "" {
				got += " " + name + "!"
			} else {
				got += " " + name + "=" + held.acked
			}
		}

		if strings.TrimSpace(got) != want {
			t.Errorf("%q: %s, want %s", refusal, got, want)
		}
	}
}

// Routes wait for the answer about clusters, even if there is nothing new to say of those.
func TestRoutesWaitForTheAnswerAboutClusters(t *testing.T) {
	for name, refusal := range map[string]string{"taken": "", "refused": "bad"} {
		t.Run(name, func(t *testing.T) {
			p := startPlane(t, billing("a=100", "a", "b"), nil)
			r := dial(t, p.address, testNode)

			r.ask(Cluster, clusterA)
			r.receive(Cluster)
			r.ask(Endpoints, clusterA) // these, too
			r.ask(Routes, billingRoutes)

			received := make(chan *discoveryv3.DiscoveryResponse, 1)
			go func() {
				response, err := r.ads.Recv()
				if err != nil {
					t.Error(err)
				}

				received <- response
			}()

			select {
			case response := <-received:
				t.Fatalf("got %s before clusters were answered", response.GetTypeUrl())
			case <-time.After(50 * time.Millisecond): // nothing must happen for a while
			}

			r.send(Cluster, refusal)

			r.last[Endpoints] = <-received
			if got := r.last[Endpoints].GetTypeUrl(); got != Endpoints.URL() {
				t.Fatalf("got %s, want endpoints", got)
			}

			r.send(Endpoints, "")
			r.take(Routes)
		})
	}
}

// A client is let go if it does not answer, not if the control plane itself was stopped for a while.
func TestLateIsLookedAtTwice(t *testing.T) {
	const timeout, grace = 8 * time.Second, time.Second

	start := time.Now()
	c := &channel{kind: Routes}
	response := c.respond(&world{resources: newResources()}, start)

	for _, look := range []struct {
		after time.Duration
		want  bool
	}{
		{7 * time.Second, false},
		{20 * time.Second, false}, // as if stopped in between
		{20*time.Second + time.Millisecond, false},
		{21 * time.Second, true},
	} {
		if got := c.late(start.Add(look.after), timeout, grace); got != look.want {
			t.Errorf("after %v: late %t", look.after, got)
		}
	}

	c.answer(response.GetNonce(), "", start)

	if c.late(start.Add(time.Hour), timeout, grace) {
		t.Error("late, but answered")
	}

	c.respond(&world{resources: newResources()}, start)

	if c.late(start.Add(timeout), timeout, grace) {
		t.Error("the next answer is not looked at twice")
	}
}
