package app

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/serinhq/serin/internal/agentspec"
)

func TestPodsOfAgentsWithDocumentsHaveARetriever(t *testing.T) {
	maker := &podMaker{settings: &clusterSettings{Image: "serin:test"}, dataPlane: dataPlaneSettings{Mode: planeSidecar}}
	billing := agentspec.Agent{Metadata: agentspec.Metadata{Name: "billing"}}

	plain, err := maker.Template(billing, strings.Repeat("a", 64))
	if err != nil {
		t.Fatal(err)
	}

	billing.Spec.Retriever = &agentspec.Retriever{Documents: []agentspec.Documents{{URL: "https://x.test/a.md"}, {ConfigMap: "handbook"}}}

	template, err := maker.Template(billing, strings.Repeat("a", 64))
	if err != nil {
		t.Fatal(err)
	}

	if len(template.Spec.Containers) != len(plain.Spec.Containers)+1 {
		t.Fatalf("containers %v", template.Spec.Containers)
	}

	mounts := template.Spec.Containers[len(template.Spec.Containers)-1].VolumeMounts
	if !slices.Contains(mounts, corev1.VolumeMount{Name: "documents-1", MountPath: podDocumentsDir + "/handbook", ReadOnly: true}) {
		t.Errorf("mounts %v", mounts)
	}

	seen := slices.ContainsFunc(template.Spec.Containers[0].Env, func(variable corev1.EnvVar) bool {
		return variable.Name == retrieverVariable && variable.Value == "http://127.0.0.1:9090"
	})
	if !seen {
		t.Error("the agent is not told where its retriever is")
	}

	// What its file says, a pod's process takes.
	files, err := maker.Files("billing", strings.Repeat("a", 64))
	if err != nil {
		t.Fatal(err)
	}

	var config workloadConfig
	if err := json.Unmarshal([]byte(files[retrieverProcess]), &config); err != nil {
		t.Fatal(err)
	}

	env := map[string]string{"LLM_ENDPOINT": "http://127.0.0.1:7070/v1"}
	if err := config.settle(func(name string) string { return env[name] }); err != nil {
		t.Error(err)
	}

	config.Listen["retriever"] = ":9090"
	if err := config.settle(func(name string) string { return env[name] }); err == nil || !strings.Contains(err.Error(), "listen.retriever") {
		t.Errorf("a retriever that all can reach: %v", err)
	}
}

func TestRevisionsWithTheSameDocumentsShareARetriever(t *testing.T) {
	one := agentspec.Agent{Metadata: agentspec.Metadata{Name: "billing"}}
	one.Spec.Retriever = &agentspec.Retriever{Documents: []agentspec.Documents{{Folder: "handbook"}}}

	same := one
	same.Spec.Prompt.Inline = "Another prompt."

	other := one
	other.Spec.Retriever = &agentspec.Retriever{Documents: []agentspec.Documents{{Folder: "handbook"}}, Model: "e5"}

	if name := retrieverName(one); name == "" || retrieverName(same) != name || retrieverName(other) == name ||
		retrieverName(agentspec.Agent{}) != "" {
		t.Errorf("names %q %q %q", retrieverName(one), retrieverName(same), retrieverName(other))
	}
}
