package e2e_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	rolloutv1 "github.com/serinhq/serin/gen/serin/rollout/v1"
	"github.com/serinhq/serin/mesh/e2e/install"
)

// patience is how long anything may take on a busy machine.
const patience = 90 * time.Second

// platform is Serin on the cluster, with the example team.
type platform struct {
	*testing.T

	gateway install.Gateway
}

var (
	installed  sync.Once
	errInstall error
)

// serin installs Serin and the example agents, once, and waits until all serve.
func serin(t *testing.T) *platform {
	t.Helper()

	installed.Do(func() { errInstall = installAll(t) })

	if errInstall != nil {
		t.Fatal(errInstall)
	}

	p := &platform{T: t}
	p.gateway = install.Gateway{URL: "http://" + p.podOf("serin-gateway").Status.PodIP + ":8080", Token: install.OperatorToken}

	return p
}

func installAll(t *testing.T) error {
	t.Helper()

	began := time.Now()

	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()

	if err := install.Serin(ctx, shared, quick); err != nil {
		return err
	}

	if err := install.Agents(ctx, shared, sized(2)); err != nil {
		return err
	}

	for _, agent := range []string{"triage", "billing", "scheduling"} {
		if err := agentReady(ctx, agent); err != nil {
			return err
		}
	}

	figures.add("serin", "all agents ready after", time.Since(began).Round(10*time.Millisecond).String())

	return nil
}

// quick has a controller that is taken for dead soon: the tests kill it often.
func quick(object *unstructured.Unstructured) {
	if object.GetName() != "serin-config" {
		return
	}

	data, _, _ := unstructured.NestedStringMap(object.Object, "data")
	data["controller.json"] = replaced(data["controller.json"], `"llmSecret": "serin-llm"`,
		`"llmSecret": "serin-llm", "leaseDuration": "5s", "deleteAfter": "2s"`)
	_ = unstructured.SetNestedStringMap(object.Object, data, "data") // strings always fit
}

// sized runs so many pods of each agent.
func sized(replicas int64) func(*unstructured.Unstructured) {
	return func(object *unstructured.Unstructured) {
		if object.GetKind() == "Agent" {
			_ = unstructured.SetNestedField(object.Object, replicas, "spec", "scaling", "minReplicas") // the path is one of maps
		}
	}
}

// agentReady waits for the condition Ready.
func agentReady(ctx context.Context, name string) error {
	for {
		agent := &unstructured.Unstructured{}
		agent.SetAPIVersion("serin.dev/v1alpha1")
		agent.SetKind("Agent")

		err := shared.Client.Get(ctx, client.ObjectKey{Namespace: install.Namespace, Name: name}, agent)
		if err == nil && conditionOf(agent, "Ready") == "True" {
			return nil
		}

		select {
		case <-ctx.Done():
			return fmt.Errorf("agent %s is not ready: %v, %w\n%s", name, agent.Object["status"], err, pods(context.Background()))
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func conditionOf(object *unstructured.Unstructured, kind string) string {
	conditions, _, _ := unstructured.NestedSlice(object.Object, "status", "conditions")
	for _, condition := range conditions {
		if one, ok := condition.(map[string]any); ok && one["type"] == kind {
			return fmt.Sprint(one["status"])
		}
	}

	return ""
}

// pods describes all pods, for someone who wants to know what went wrong.
func pods(ctx context.Context) string {
	list, text := &corev1.PodList{}, ""
	if err := shared.Client.List(ctx, list, client.InNamespace(install.Namespace)); err != nil {
		return err.Error()
	}

	for _, pod := range list.Items {
		text += fmt.Sprintf("%s %s", pod.Name, pod.Status.Phase)
		for _, container := range pod.Status.ContainerStatuses {
			text += fmt.Sprintf(" [%s ready=%v restarts=%d %+v]", container.Name, container.Ready, container.RestartCount, container.State)
		}

		text += "\n"
	}

	return text
}

// podOf returns a ready pod of an app.
func (p *platform) podOf(app string) *corev1.Pod {
	p.Helper()

	var found *corev1.Pod

	p.eventually("there is a ready pod of "+app, func(ctx context.Context) error {
		list := &corev1.PodList{}
		if err := shared.Client.List(ctx, list, client.InNamespace(install.Namespace), client.MatchingLabels{"app": app}); err != nil {
			return err
		}

		for i := range list.Items {
			if isReady(&list.Items[i]) {
				found = &list.Items[i]

				return nil
			}
		}

		return fmt.Errorf("%d pods, none is ready", len(list.Items))
	})

	return found
}

func isReady(pod *corev1.Pod) bool {
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.PodReady {
			return condition.Status == corev1.ConditionTrue && pod.DeletionTimestamp == nil
		}
	}

	return false
}

// eventually waits until there is no error any more.
func (p *platform) eventually(what string, holds func(context.Context) error) {
	p.Helper()

	ctx, cancel := context.WithTimeout(p.Context(), patience)
	defer cancel()

	for {
		err := holds(ctx)
		if err == nil {
			return
		}

		select {
		case <-ctx.Done():
			p.Fatalf("waited in vain until %s: %v\n%s", what, err, pods(context.Background()))
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// must fails the test.
func (p *platform) must(err error) {
	p.Helper()

	if err != nil {
		p.Fatal(err)
	}
}

// await waits until an agent's rollout is as wanted.
func (p *platform) await(agent, what string, holds func(*rolloutv1.Rollout) bool) *rolloutv1.Rollout {
	p.Helper()

	ctx, cancel := context.WithTimeout(p.Context(), patience)
	defer cancel()

	found, err := p.gateway.Await(ctx, agent, what, holds)
	p.must(err)

	return found
}

// prompt appends to what an Agent says, as someone does who edits the object, and returns the revision that it becomes.
func (p *platform) prompt(agent, suffix string) string {
	p.Helper()

	prompt, _, _ := unstructured.NestedString(p.agent(agent).Object, "spec", "prompt", "inline")

	return p.edited(agent, prompt+suffix, "spec", "prompt", "inline")
}

func (p *platform) rollout(agent string) *rolloutv1.Rollout {
	p.Helper()

	found, err := p.gateway.Rollout(p.Context(), agent)
	p.must(err)

	return found
}

func (p *platform) agent(name string) *unstructured.Unstructured {
	p.Helper()

	agent := &unstructured.Unstructured{}
	agent.SetAPIVersion("serin.dev/v1alpha1")
	agent.SetKind("Agent")
	p.must(shared.Client.Get(p.Context(), client.ObjectKey{Namespace: install.Namespace, Name: name}, agent))

	return agent
}

// replaced replaces a text that must be there.
func replaced(text, before, after string) string {
	if !strings.Contains(text, before) {
		panic("not there: " + before)
	}

	return strings.ReplaceAll(text, before, after)
}

// steer gives a command about a rollout.
func (p *platform) steer(agent, verb string, in proto.Message) {
	p.Helper()

	_, err := p.gateway.Steer(p.Context(), agent, verb, in)
	p.must(err)
}
