package kube

import (
	"encoding/json"
	"strings"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	workloadv1 "github.com/serinhq/serin/gen/serin/workload/v1"
	"github.com/serinhq/serin/internal/agentspec"
	"github.com/serinhq/serin/mesh/controller/storetest"
)

// deduced has no schemas: by its schema a NetworkPolicy has no status, which the fake client adds to everything.
func deduced(b *fake.ClientBuilder) { b.WithTypeConverters(managedfields.NewDeducedTypeConverter()) }

// named is an agent with one revision, which may hand off to others.
func (w *world) named(name string, edit func(*agentspec.Agent)) *workloadv1.Agent {
	w.Helper()

	read, err := parse(storetest.Revision(w.T, name, "v1").Declaration)
	w.must(err)
	edit(&read)

	data, err := agentspec.MarshalResolved(read)
	w.must(err)

	return &workloadv1.Agent{Name: name, Declaration: string(data), Revisions: []*workloadv1.Revision{
		{Revision: agentspec.Revision(read), Declaration: string(data)},
	}}
}

func handsTo(names ...string) func(*agentspec.Agent) {
	return func(a *agentspec.Agent) {
		for _, name := range names {
			a.Spec.Handoffs = append(a.Spec.Handoffs, agentspec.Handoff{Agent: name, History: "full"})
		}
	}
}

func (w *world) isolated() *workloads {
	config := w.config("one")
	config.Network = &Network{
		Pages: []int32{8080, 8081}, ControlPlane: []int32{15012}, ControlPlaneNamespace: "istio-system", Outside: []int32{443},
	}
	w.must(config.check())

	return newWorkloads(config)
}

func (w *world) isolation(agent string) *networkingv1.NetworkPolicy {
	w.Helper()

	made := &networkingv1.NetworkPolicy{}
	w.must(w.client.Get(w.Context(), client.ObjectKey{Namespace: testNamespace, Name: "serin-agent-" + agent}, made))

	return made
}

// wantIsolation compares rules as Kubernetes writes them.
func (w *world) wantIsolation(agent string, ingress, egress []string) {
	w.Helper()

	made := w.isolation(agent)

	got, err := json.Marshal(map[string]any{"egress": made.Spec.Egress, "ingress": made.Spec.Ingress})
	w.must(err)

	want := `{"egress":[` + strings.Join(egress, ",") + `],"ingress":[` + strings.Join(ingress, ",") + `]}`
	if string(got) != want {
		w.Errorf("%s has\n%s, want\n%s", agent, got, want)
	}
}

const (
	toGRPC  = `"ports":[{"protocol":"TCP","port":9000}]`
	pages   = `{"ports":[{"protocol":"TCP","port":8080},{"protocol":"TCP","port":8081}],"from":[{"namespaceSelector":{}}]}`
	gateway = `{"podSelector":{"matchLabels":{"app":"serin-gateway"}}}`
	triage  = `{"podSelector":{"matchLabels":{"app":"triage"}}}`
	billing = `{"podSelector":{"matchLabels":{"app":"billing"}}}`
	serves  = `{"podSelector":{"matchLabels":{"serin.dev/serves":"agents"}}}`
	istiod  = `{"ports":[{"protocol":"TCP","port":15012}],` +
		`"to":[{"namespaceSelector":{"matchLabels":{"kubernetes.io/metadata.name":"istio-system"}}}]}`
	dns     = `{"ports":[{"protocol":"UDP","port":53},{"protocol":"TCP","port":53}]}`
	outside = `{"ports":[{"protocol":"TCP","port":443}]}`
)

// TestNetworksFollowHandoffs of all revisions that run, and nothing else gets in or out.
func TestNetworksFollowHandoffs(t *testing.T) {
	w := worldOf(t, deduced, object("billing", "v1"))
	run := w.isolated()
	alone := w.named("triage", handsTo())
	hands := w.named("triage", handsTo("billing"))
	hands.Revisions = append(hands.Revisions, alone.GetRevisions()...) // one of them does
	callee := w.named("billing", func(*agentspec.Agent) {})

	w.apply(run, callee, hands)
	w.wantIsolation("triage", []string{`{` + toGRPC + `,"from":[` + gateway + `]}`, pages},
		[]string{`{` + toGRPC + `,"to":[` + billing + `,` + serves + `]}`, istiod, dns, outside})
	w.wantIsolation("billing", []string{`{` + toGRPC + `,"from":[` + gateway + `,` + triage + `]}`, pages},
		[]string{`{` + toGRPC + `,"to":[` + serves + `]}`, istiod, dns, outside})

	w.apply(run, callee, alone)
	w.wantIsolation("billing", []string{`{` + toGRPC + `,"from":[` + gateway + `]}`, pages},
		[]string{`{` + toGRPC + `,"to":[` + serves + `]}`, istiod, dns, outside})

	made := w.isolation("billing")
	if pods := w.deployments()[ObjectName("billing", agentspec.Short(callee.GetRevisions()[0].GetRevision()))].Spec.Template.Labels; len(made.Spec.PolicyTypes) != 2 ||
		!selects(made.Spec.PodSelector.MatchLabels, pods) || selects(made.Spec.PodSelector.MatchLabels, labelsOf("triage")) {
		t.Errorf("it is for %v in %v, and the pods are %v", made.Spec.PolicyTypes, made.Spec.PodSelector, pods)
	}

	if len(made.OwnerReferences) != 1 || made.OwnerReferences[0].UID != types.UID("billing") {
		t.Errorf("owners: %v", made.OwnerReferences)
	}
}

// TestNetworksLetDocumentsIn from where an agent says that they are.
func TestNetworksLetDocumentsIn(t *testing.T) {
	w := worldOf(t, deduced)
	run := w.isolated()
	w.apply(run, w.named("billing", func(a *agentspec.Agent) {
		a.Spec.Retriever = &agentspec.Retriever{Documents: []agentspec.Documents{
			{URL: "http://wiki.example.com/a"}, {URL: "https://docs.example.com:8443/b"}, {URL: "https://docs.example.com/c"}, {ConfigMap: "handbook"},
		}, Passages: 5}
	}))

	if got, want := w.isolation("billing").Spec.Egress[3].Ports, ports("TCP", 80, 443, 8443); len(got) != len(want) ||
		got[0].Port.IntVal != 80 || got[1].Port.IntVal != 443 || got[2].Port.IntVal != 8443 {
		t.Errorf("it reaches %v, want %v", got, want)
	}
}

// TestNetworksAreOpenedAgain where nobody wants policies any more, and when the agent goes.
func TestNetworksAreOpenedAgain(t *testing.T) {
	w := worldOf(t, deduced)
	agent := w.named("billing", func(*agentspec.Agent) {})

	for name, open := range map[string]func(){
		"no policies": func() { w.apply(newWorkloads(w.config("one")), agent) },
		"no agent":    func() { run := w.isolated(); w.apply(run, agent); w.apply(run) },
	} {
		w.apply(w.isolated(), agent)
		w.isolation("billing")
		open()

		err := w.client.Get(t.Context(), client.ObjectKey{Namespace: testNamespace, Name: "serin-agent-billing"}, &networkingv1.NetworkPolicy{})
		if !apierrors.IsNotFound(err) {
			t.Errorf("%s: left, %v", name, err)
		}
	}
}

func TestNetworksNeedPorts(t *testing.T) {
	w := worldOf(t, deduced)
	config := w.config("one")
	config.Network = &Network{Pages: []int32{8080}, ControlPlane: []int32{15012}}

	if err := config.check(); err == nil {
		t.Error("a rule without ports would be one for all of them")
	}
}
