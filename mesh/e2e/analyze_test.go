package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	rolloutv1 "github.com/serinhq/serin/gen/serin/rollout/v1"
	"github.com/serinhq/serin/mesh/e2e/binaries"
	"github.com/serinhq/serin/mesh/e2e/install"
)

// phases are those of a rollout that last.
var phases = []rolloutv1.Phase{
	rolloutv1.Phase_PHASE_PREPARING, rolloutv1.Phase_PHASE_PROGRESSING, rolloutv1.Phase_PHASE_PAUSED, rolloutv1.Phase_PHASE_PROMOTING,
	rolloutv1.Phase_PHASE_SUCCEEDED, rolloutv1.Phase_PHASE_FAILED,
}

// TestIstioFindsNothingToSay has istioctl look at the namespace in each phase of rollouts.
func TestIstioFindsNothingToSay(t *testing.T) {
	p := serin(t)
	p.loudly()
	p.analyze("before")

	looked := map[rolloutv1.Phase]int{}
	look := func(phase rolloutv1.Phase) {
		p.await("scheduling", phase.String(), func(r *rolloutv1.Rollout) bool { return r.GetPhase() == phase })
		p.analyze(phase.String())

		looked[phase]++
	}

	first := p.rollout("scheduling").GetStable()
	declared := p.agent("scheduling")
	t.Cleanup(func() { p.restore(declared, first) })

	// An image that nobody has keeps a candidate from becoming ready.
	p.edited("scheduling", "example.com/none@sha256:"+strings.Repeat("0", 64), "spec", "image")
	look(rolloutv1.Phase_PHASE_PREPARING)
	p.steer("scheduling", "abort", &rolloutv1.AbortRolloutRequest{Reason: "nobody has the image"})
	look(rolloutv1.Phase_PHASE_FAILED)

	p.restore(declared, first)

	candidate := p.edited("scheduling", int64(900), "spec", "model", "maxOutputTokens")
	look(rolloutv1.Phase_PHASE_PROGRESSING)
	p.steer("scheduling", "setWeight", &rolloutv1.SetWeightRequest{Weight: 50})
	p.await("scheduling", "at 50%", carries(candidate, 50))
	p.steer("scheduling", "pause", &rolloutv1.PauseRolloutRequest{})
	look(rolloutv1.Phase_PHASE_PAUSED)
	p.steer("scheduling", "promote", &rolloutv1.PromoteRolloutRequest{Full: true})
	look(rolloutv1.Phase_PHASE_PROMOTING)
	look(rolloutv1.Phase_PHASE_SUCCEEDED)
	p.steer("scheduling", "undo", &rolloutv1.UndoRolloutRequest{})
	p.await("scheduling", "undone", func(r *rolloutv1.Rollout) bool { return r.GetStable() == first && r.GetCandidate() == "" })
	p.analyze("undone")

	for _, phase := range phases {
		if looked[phase] == 0 {
			t.Errorf("nobody looked while the rollout was %s; looked: %v", phase, slices.Collect(maps.Keys(looked)))
		}
	}
}

// analyze wants that istioctl has nothing to say about the namespace.
func (p *platform) analyze(when string) {
	p.Helper()

	if found := p.istioctl(); len(found) > 0 {
		p.Errorf("%s: istioctl analyze says %s", when, found)
	}
}

// istioctl returns the messages of `istioctl analyze`.
func (p *platform) istioctl() []json.RawMessage {
	p.Helper()

	return analyzed(p.T, "--kubeconfig", shared.Kubeconfig)
}

// analyzed returns what `istioctl analyze` says of Serin's namespace.
func analyzed(t *testing.T, args ...string) []json.RawMessage {
	t.Helper()

	var said, problem bytes.Buffer

	command := exec.CommandContext(t.Context(), binaries.In(os.Getenv("SERIN_E2E_BINARIES")).Istioctl,
		append([]string{"analyze", "--namespace", install.Namespace, "--output", "json"}, args...)...)
	command.Stdout, command.Stderr = &said, &problem
	failed := command.Run() // it fails if it found an error; what that is, it says

	var messages []json.RawMessage
	if err := json.Unmarshal(said.Bytes(), &messages); err != nil {
		t.Fatalf("istioctl analyze: %v, %v\n%s%s", failed, err, said.String(), problem.String())
	}

	return messages
}

// loudly makes sure that istioctl sees what there is: it must find fault with a route that leads nowhere.
func (p *platform) loudly() {
	p.Helper()

	const nowhere = `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: nowhere}
spec: {hosts: [nowhere], http: [{route: [{destination: {host: nobody}}]}]}
`

	wrong := parsed(p.T, nowhere)[0]
	p.must(shared.Client.Create(p.Context(), wrong))

	found := p.istioctl()
	p.must(shared.Client.Delete(p.Context(), wrong))

	if text := fmt.Sprintf("%s", found); !strings.Contains(text, "nowhere") {
		p.Fatalf("istioctl analyze does not see a route that leads nowhere: %s", text)
	}
}

// restore declares an agent as it was, and waits until that is what is stable.
func (p *platform) restore(declared *unstructured.Unstructured, stable string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(p.Context()), patience)
	defer cancel()

	now := &unstructured.Unstructured{}
	now.SetGroupVersionKind(declared.GroupVersionKind())
	p.must(shared.Client.Get(ctx, client.ObjectKeyFromObject(declared), now))

	edited := now.DeepCopy()
	edited.Object["spec"] = declared.DeepCopy().Object["spec"]
	p.must(shared.Client.Patch(ctx, edited, client.MergeFrom(now)))

	_, err := p.gateway.Await(ctx, declared.GetName(), "as it was", func(r *rolloutv1.Rollout) bool {
		return r.GetStable() == stable && r.GetCandidate() == ""
	})
	p.must(err)
}

// TestIstioFindsNothingToSayOfSidecars looks at the manifests of the other mode, which can't be run here: as files, with the
// pods that would come of them.
func TestIstioFindsNothingToSayOfSidecars(t *testing.T) {
	objects, err := install.Manifests(install.Sidecar)
	if err != nil {
		t.Fatal(err)
	}

	namespace := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "Namespace",
		"metadata": map[string]any{"name": install.Namespace, "labels": map[string]any{"istio-injection": "enabled"}},
	}}
	all := append([]*unstructured.Unstructured{namespace}, objects...)

	for _, object := range objects {
		if object.GetKind() == "Deployment" {
			all = append(all, podFrom(t, object))
		}
	}

	documents := &bytes.Buffer{}

	for _, object := range all {
		data, err := yaml.Marshal(object.Object)
		if err != nil {
			t.Fatal(err)
		}

		documents.WriteString("---\n")
		documents.Write(data)
	}

	file := filepath.Join(t.TempDir(), "sidecar.yaml")
	if err := os.WriteFile(file, documents.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}

	if found := analyzed(t, "--use-kube=false", file); len(found) > 0 {
		t.Errorf("istioctl analyze says %s", found)
	}
}

// podFrom is a pod of a Deployment, with what Istio would add to it.
func podFrom(t *testing.T, deployment *unstructured.Unstructured) *unstructured.Unstructured {
	t.Helper()

	template, found, err := unstructured.NestedMap(deployment.Object, "spec", "template")
	if err != nil || !found {
		t.Fatalf("%s has no template: %v", deployment.GetName(), err)
	}

	pod := &unstructured.Unstructured{Object: template}
	pod.SetAPIVersion("v1")
	pod.SetKind("Pod")
	pod.SetNamespace(deployment.GetNamespace())
	pod.SetName(deployment.GetName() + "-0")

	containers, _, err := unstructured.NestedSlice(pod.Object, "spec", "containers")
	if err != nil {
		t.Fatal(err)
	}

	containers = append(containers, map[string]any{"name": "istio-proxy", "image": "proxyv2"})
	if err := unstructured.SetNestedSlice(pod.Object, containers, "spec", "containers"); err != nil {
		t.Fatal(err)
	}

	return pod
}
