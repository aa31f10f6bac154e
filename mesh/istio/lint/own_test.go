package lint_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"istio.io/client-go/pkg/clientset/versioned/fake"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/serinhq/serin/mesh/istio"
	"github.com/serinhq/serin/mesh/istio/lint"
)

type everyoneHasIt struct{}

func (everyoneHasIt) Propagated(context.Context, runtime.Object) (bool, error) { return true, nil }

// What Serin itself writes is done as it is written, at each step of a rollout.
func TestSerinsOwnObjects(t *testing.T) {
	client := fake.NewSimpleClientset()

	router, err := istio.New(istio.Config{Client: client, Propagation: everyoneHasIt{}})
	if err != nil {
		t.Fatal(err)
	}

	agent := istio.Agent{Namespace: "agents", Name: "billing", Port: 9000}

	for _, callers := range [][]string{nil, {"triage", "scheduling"}} {
		if err := router.Authorize(t.Context(), agent, callers); err != nil {
			t.Fatal(err)
		}

		check(t, client)
	}

	for _, routing := range []istio.Routing{
		{Intent: istio.Intent{Attempt: 1, Seq: 1, Phase: "Idle", Stable: "aaa"}, Live: []string{"aaa"}},
		{
			Intent: istio.Intent{Attempt: 1, Seq: 2, Phase: "Progressing", Stable: "aaa", Candidate: "bbb", Weight: 10},
			Live:   []string{"aaa", "bbb"}, ExcludedTenants: []string{"acme"},
		},
		{
			Intent: istio.Intent{Attempt: 1, Seq: 3, Phase: "Aborting", Stable: "aaa"},
			Live:   []string{"aaa", "bbb"}, Redirects: map[string]string{"bbb": "aaa"},
		},
	} {
		if _, err := router.Apply(t.Context(), agent, routing); err != nil {
			t.Fatal(err)
		}

		if check(t, client) != 3 {
			t.Error("want a VirtualService, a DestinationRule and an AuthorizationPolicy")
		}
	}
}

// check lints all objects of the namespace, and returns how many there are.
func check(t *testing.T, client *fake.Clientset) int {
	t.Helper()

	objects := []runtime.Object{}

	services, err := client.NetworkingV1().VirtualServices("agents").List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}

	for _, object := range services.Items {
		objects = append(objects, object)
	}

	rules, err := client.NetworkingV1().DestinationRules("agents").List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}

	for _, object := range rules.Items {
		objects = append(objects, object)
	}

	policies, err := client.SecurityV1().AuthorizationPolicies("agents").List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}

	for _, object := range policies.Items {
		objects = append(objects, object)
	}

	for _, finding := range lint.Proxyless(objects...) {
		t.Error(finding)
	}

	return len(objects)
}

// Among the objects of others Serin brings nothing that was not there.
func TestSerinBringsNoFindings(t *testing.T) {
	for name, golden := range goldens(t) {
		t.Run(name, func(t *testing.T) {
			before := places(lint.Proxyless(golden.before...))
			for _, place := range places(lint.Proxyless(golden.after...)) {
				if !slices.Contains(before, place) {
					t.Error(place)
				}
			}
		})
	}
}

// places are findings without the indices of lists, which move with what is put in.
func places(findings []lint.Finding) []string {
	all := []string{}

	for _, finding := range findings {
		text := &strings.Builder{}
		inside := false

		for _, r := range finding.Field {
			if inside = inside && r != ']' || r == '['; !inside {
				text.WriteRune(r)
			}
		}

		all = append(all, finding.Object.String()+" "+text.String()+" "+finding.Value)
	}

	return all
}
