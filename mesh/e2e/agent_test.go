package e2e_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	istionetworking "istio.io/client-go/pkg/apis/networking/v1"
	istiosecurity "istio.io/client-go/pkg/apis/security/v1"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	conversationv1 "github.com/serinhq/serin/gen/serin/conversation/v1"
	rolloutv1 "github.com/serinhq/serin/gen/serin/rollout/v1"
	"github.com/serinhq/serin/mesh/e2e/install"
)

// courier and depot are a team beside the example's; nobody but them knows them.
const courierAgent = `
apiVersion: serin.dev/v1alpha1
kind: Agent
metadata: {name: courier}
spec:
  description: Says where a parcel is.
  prompt: {inline: You say where a parcel is.}
  tools: [{name: clock}]
  handoffs: [{agent: depot, when: The parcel is lost.}]
  scaling: {minReplicas: 1}
`

const depotAgent = `
apiVersion: serin.dev/v1alpha1
kind: Agent
metadata: {name: depot}
spec:
  description: Finds parcels that are lost.
  prompt: {inline: You find parcels.}
  scaling: {minReplicas: 1}
`

// TestAnAgentsLife has an agent come, change and go.
func TestAnAgentsLife(t *testing.T) {
	p := serin(t)

	defer func() {
		for _, name := range []string{"courier", "depot"} {
			p.remove(name)
			p.gone(name)
		}
	}()

	for _, step := range []struct {
		name string
		do   func(*platform)
	}{
		{"it waits for whom it names", (*platform).courierWaits},
		{"it is served", (*platform).courierServes},
		{"it is made larger", (*platform).courierGrows},
		{"autoscalers take its size over, and give it back", (*platform).courierScales},
		{"the network lets through its handoffs", (*platform).courierIsolated},
		{"an edit of its handoffs is aborted", (*platform).courierAborts},
		{"an edit of its tools is promoted", (*platform).courierPromotes},
		{"its events tell all of that once", (*platform).courierTold},
		{"it leaves when nobody needs it any more", (*platform).courierLeaves},
		{"the controller was forbidden nothing of that", (*platform).controllerMay},
	} {
		if !t.Run(step.name, func(t *testing.T) { step.do(&platform{T: t, gateway: p.gateway}) }) {
			t.FailNow() // the next begins where this one ends
		}
	}
}

func (p *platform) courierWaits() {
	p.must(shared.Client.Create(p.Context(), parsed(p.T, courierAgent)[0]))
	p.condition("courier", "Degraded", "True", "UnknownReference", "depot")
	p.condition("courier", "Ready", "False", "UnknownReference", "depot")
}

func (p *platform) courierServes() {
	p.must(shared.Client.Create(p.Context(), parsed(p.T, depotAgent)[0]))

	for _, name := range []string{"courier", "depot"} {
		p.condition(name, "Ready", "True", "Serving", p.rolloutSoon(name).GetStable())
		p.condition(name, "Degraded", "False", "AsDeclared", "")
		p.condition(name, "RolloutProgressing", "False", "", "")
	}

	p.row("courier", p.rollout("courier"))
}

// rolloutSoon returns the rollout of an agent that is new.
func (p *platform) rolloutSoon(agent string) *rolloutv1.Rollout {
	p.Helper()

	return p.await(agent, "known", func(r *rolloutv1.Rollout) bool { return r.GetStable() != "" })
}

func (p *platform) courierGrows() {
	before := p.rollout("courier")

	p.budget("courier-"+before.GetStable(), 0)

	for _, size := range []int64{2, 1} {
		p.edit("courier", size, "spec", "scaling", "minReplicas")
		p.eventually(fmt.Sprintf("courier has %d pods", size), func(ctx context.Context) error {
			found := &appsv1.Deployment{}
			key := client.ObjectKey{Namespace: install.Namespace, Name: "courier-" + before.GetStable()}

			if err := shared.Client.Get(ctx, key, found); err != nil {
				return err
			}

			if int64(found.Status.Replicas) != size || int64(found.Status.ReadyReplicas) != size {
				return fmt.Errorf("%+v", found.Status)
			}

			return nil
		})
		p.budget("courier-"+before.GetStable(), size/2) // one pod has none
	}

	p.condition("courier", "RolloutProgressing", "False", "", "")

	after := p.rollout("courier")
	if after.GetAttempt() != before.GetAttempt() || after.GetCandidate() != "" || after.GetStable() != before.GetStable() {
		p.Errorf("a change of its size began a rollout: %v, and before %v", after, before)
	}
}

func (p *platform) courierAborts() {
	stable := p.rollout("courier").GetStable()
	candidate := p.edited("courier", []any{map[string]any{"agent": "billing"}}, "spec", "handoffs")
	p.condition("courier", "RolloutProgressing", "True", "", "")
	p.row("courier", p.await("courier", "at 5%", carries(candidate, 5)))
	p.isolated("courier", nil, []string{"billing", "depot"}) // as each of its revisions needs it
	p.isolated("billing", []string{"courier", "triage"}, []string{"scheduling"})
	p.isolated("depot", []string{"courier"}, nil)

	p.steer("courier", "abort", &rolloutv1.AbortRolloutRequest{Reason: "a test"})
	p.await("courier", "aborted", settled(rolloutv1.Phase_PHASE_FAILED, stable))
	p.condition("courier", "RolloutProgressing", "False", "Aborted", "a test")
	p.row("courier", p.rollout("courier"))
}

func (p *platform) courierPromotes() {
	candidate := p.edited("courier", []any{map[string]any{"name": "calculator"}}, "spec", "tools")
	p.await("courier", "at 5%", carries(candidate, 5))
	p.steer("courier", "promote", &rolloutv1.PromoteRolloutRequest{Full: true})
	p.await("courier", "promoted", settled(rolloutv1.Phase_PHASE_SUCCEEDED, candidate))
	p.condition("courier", "RolloutProgressing", "False", "Succeeded", "")
	p.condition("courier", "Ready", "True", "Serving", candidate)
}

// courierTold compares the events with the audit log: each decision is one event.
func (p *platform) courierTold() {
	history := &rolloutv1.ListHistoryResponse{}
	p.must(p.gateway.Call(p.Context(), http.MethodGet, "/v1/rollouts/courier/history", nil, history))

	want := map[string]int{}
	for _, entry := range history.GetEntries() {
		action := strings.ReplaceAll(entry.GetAction(), "-", "")
		want[fmt.Sprintf("%s: %s (%s, attempt %d)", action, entry.GetReason(), entry.GetActor(), entry.GetAttempt())]++
	}

	for _, action := range []string{"start", "abort", "promote"} {
		if !slices.ContainsFunc(history.GetEntries(), func(e *rolloutv1.HistoryEntry) bool { return e.GetAction() == action }) {
			p.Errorf("the history has no %s: %v", action, history)
		}
	}

	p.eventually("each decision is an event, once", func(ctx context.Context) error {
		found, err := shared.Kubernetes.EventsV1().Events(install.Namespace).List(ctx, metav1.ListOptions{FieldSelector: "regarding.name=courier"})
		if err != nil {
			return err
		}

		got := map[string]int{}

		for _, event := range found.Items {
			text := strings.ToLower(event.Reason) + ": " + event.Note
			got[text]++

			if event.Series != nil {
				got[text] = int(event.Series.Count)
			}
		}

		for text, times := range want {
			if got[text] != times {
				return fmt.Errorf("%q is there %d times, want %d; all are %v", text, got[text], times, got)
			}
		}

		if len(got) != len(want) {
			return fmt.Errorf("%d events about %d decisions: %v", len(got), len(want), got)
		}

		return nil
	})
}

// courierLeaves deletes the agent while a conversation goes on with it.
func (p *platform) courierLeaves() {
	opened := &conversationv1.CreateConversationResponse{}
	p.must(p.gateway.Call(p.Context(), http.MethodPost, "/v1/conversations", map[string]string{"agent": "courier"}, opened))

	conversation := opened.GetConversation().GetConversationId()
	p.answered(conversation)
	p.must(shared.Client.Delete(p.Context(), p.agent("courier")))

	// What runs on it finishes; the conversation goes on with the agent that new ones meet.
	draining := false
	for from := time.Now(); ; {
		p.answered(conversation)

		object := p.present("courier")
		if object == nil {
			break
		}

		draining = draining || is(object, "Ready", "False", "Draining", "") == nil

		if time.Since(from) > patience {
			p.Fatal("it does not go: ", object.Object["status"])
		}
	}

	if !draining {
		p.Error("it went without a word")
	}

	p.answered(conversation)
	p.gone("courier")
	p.remove("depot")
	p.gone("depot")
}

// controllerMay looks for what the API server refused in the controllers' logs: its Role allows all that it does.
func (p *platform) controllerMay() {
	logs, err := filepath.Glob(filepath.Join(shared.Logs, "pods", "*_serin-controller-*", "*", "*.log"))
	if err != nil || len(logs) == 0 {
		p.Fatal("the controllers have no logs", err)
	}

	for _, path := range logs {
		text, err := os.ReadFile(path)
		p.must(err)

		for line := range strings.Lines(string(text)) {
			if strings.Contains(strings.ToLower(line), "forbidden") {
				p.Error(line)
			}
		}
	}
}

// present returns an Agent; nil if there is none.
func (p *platform) present(name string) *unstructured.Unstructured {
	p.Helper()

	found := agentList()
	p.must(shared.Client.List(p.Context(), found, client.InNamespace(install.Namespace)))

	for i := range found.Items {
		if found.Items[i].GetName() == name {
			return &found.Items[i]
		}
	}

	return nil
}

// answered says something and wants an answer.
func (p *platform) answered(conversation string) {
	p.Helper()

	turn, err := p.gateway.Say(p.Context(), conversation, "Where is my parcel?")
	p.must(err)

	if turn.GetState() != conversationv1.TurnState_TURN_STATE_COMPLETED {
		p.Fatalf("the turn ended as %v", turn)
	}
}

// gone waits until nothing is left of an agent.
func (p *platform) gone(agent string) {
	p.Helper()

	p.eventually("nothing is left of "+agent, func(ctx context.Context) error {
		left := []string{}

		for _, list := range []client.ObjectList{
			&appsv1.DeploymentList{}, &appsv1.ReplicaSetList{}, &corev1.PodList{}, &corev1.ConfigMapList{}, &corev1.ServiceList{},
			&corev1.ServiceAccountList{}, &istionetworking.VirtualServiceList{}, &istionetworking.DestinationRuleList{},
			&istiosecurity.AuthorizationPolicyList{}, &policyv1.PodDisruptionBudgetList{}, &autoscalingv2.HorizontalPodAutoscalerList{},
			&networkingv1.NetworkPolicyList{}, agentList(),
		} {
			if err := shared.Client.List(ctx, list, client.InNamespace(install.Namespace)); err != nil {
				return err
			}

			left = append(left, named(list, agent)...)
		}

		if len(left) > 0 {
			return errors.New(strings.Join(left, ", "))
		}

		return nil
	})
}

func agentList() *unstructured.UnstructuredList {
	list := &unstructured.UnstructuredList{}
	list.SetAPIVersion("serin.dev/v1alpha1")
	list.SetKind("AgentList")

	return list
}

// named are the objects of a list that are called after an agent, or after one of its revisions.
func named(list client.ObjectList, agent string) []string {
	found := []string{}

	data, _ := json.Marshal(list) //nolint:errchkjson // it came as JSON

	var objects metav1.PartialObjectMetadataList

	_ = json.Unmarshal(data, &objects) // whatever a list is, it is this

	for _, one := range objects.Items {
		if one.Name == agent || strings.HasPrefix(one.Name, agent+"-") || one.Labels["app"] == agent {
			found = append(found, fmt.Sprintf("%T %s", list, one.Name))
		}
	}

	return found
}

// remove deletes an agent that may be there.
func (p *platform) remove(agent string) {
	object := &unstructured.Unstructured{}
	object.SetAPIVersion("serin.dev/v1alpha1")
	object.SetKind("Agent")
	object.SetNamespace(install.Namespace)
	object.SetName(agent)

	if err := shared.Client.Delete(p.Context(), object); client.IgnoreNotFound(err) != nil {
		p.Error(err)
	}
}

// edit changes one field of an Agent.
func (p *platform) edit(agent string, value any, path ...string) {
	p.Helper()

	before := p.agent(agent)
	after := before.DeepCopy()
	p.must(unstructured.SetNestedField(after.Object, value, path...))
	p.must(shared.Client.Patch(p.Context(), after, client.MergeFrom(before)))
}

// edited changes one field of an Agent, and returns the candidate that it becomes.
func (p *platform) edited(agent string, value any, path ...string) string {
	p.Helper()

	before := p.rollout(agent)
	p.edit(agent, value, path...)

	return p.await(agent, "with a new candidate", func(r *rolloutv1.Rollout) bool {
		return r.GetCandidate() != "" && r.GetCandidate() != before.GetCandidate()
	}).GetCandidate()
}

// condition waits until an agent's condition, about the spec as it is now, is as wanted; an empty reason is any.
func (p *platform) condition(agent, kind, state, reason, words string) {
	p.Helper()

	p.eventually(fmt.Sprintf("%s of %s is %s, %s: %s", kind, agent, state, reason, words), func(context.Context) error {
		return is(p.agent(agent), kind, state, reason, words)
	})
}

// is says why an agent's condition is not as wanted.
func is(object *unstructured.Unstructured, kind, state, reason, words string) error {
	conditions, _, err := unstructured.NestedSlice(object.Object, "status", "conditions")
	if err != nil {
		return fmt.Errorf("read conditions: %w", err)
	}

	for _, one := range conditions {
		found, _ := one.(map[string]any)
		message := fmt.Sprint(found["message"])

		if found["type"] == kind && found["status"] == state && (reason == "" || found["reason"] == reason) &&
			strings.Contains(message, words) && message != "" && found["observedGeneration"] == object.GetGeneration() {
			return nil
		}
	}

	return fmt.Errorf("generation %d has %v", object.GetGeneration(), conditions)
}

// row wants what `kubectl get agents` prints.
func (p *platform) row(agent string, of *rolloutv1.Rollout) {
	p.Helper()

	var weight, candidate any
	if of.GetCandidate() != "" {
		weight, candidate = float64(of.GetWeight()), of.GetCandidate()
	}

	p.eventually("the table tells of "+agent, func(context.Context) error {
		table := &metav1.Table{}

		path := "/apis/serin.dev/v1alpha1/namespaces/" + install.Namespace + "/agents/" + agent
		if err := json.Unmarshal(p.raw(path, "application/json;as=Table;v=v1;g=meta.k8s.io"), table); err != nil {
			return err
		}

		cells := map[string]any{}
		shown := []string{}

		for i, column := range table.ColumnDefinitions {
			cells[column.Name] = table.Rows[0].Cells[i]

			if column.Priority == 0 {
				shown = append(shown, column.Name)
			}
		}

		if strings.Join(shown, " ") != "Name STABLE CANARY WEIGHT PHASE AGE" {
			return fmt.Errorf("it has the columns %v", shown)
		}

		age, _ := cells["AGE"].(string)
		if _, err := time.ParseDuration(strings.NewReplacer("d", "h").Replace(age)); err != nil {
			return fmt.Errorf("AGE is %q: %w", age, err)
		}

		phase := strings.ToUpper(fmt.Sprint(cells["PHASE"]))
		if cells["Name"] != agent || cells["STABLE"] != of.GetStable() || cells["CANARY"] != candidate || cells["WEIGHT"] != weight ||
			"PHASE_"+phase != of.GetPhase().String() {
			return fmt.Errorf("%v, want %v", cells, of)
		}

		return nil
	})
}
