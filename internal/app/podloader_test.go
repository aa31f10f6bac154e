package app

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/serinhq/serin/internal/agentspec"
	"github.com/serinhq/serin/mesh/controller/kube"
)

// TestPodsLoadTheirAgent runs what the init container of a pod runs, in folders of this machine in the place of its volumes,
// and has the agent's process read the outcome.
func TestPodsLoadTheirAgent(t *testing.T) {
	agent := agentspec.Agent{APIVersion: agentspec.APIVersion, Kind: agentspec.KindAgent, Metadata: agentspec.Metadata{Name: "billing"}}
	agent.Spec.Description, agent.Spec.Prompt.Inline = "Bills.", "You bill."
	revision := agentspec.Revision(agent)
	maker := &podMaker{settings: &clusterSettings{Image: "serin:test"}, dataPlane: dataPlaneSettings{Mode: planeSidecar}}

	template, err := maker.Template(agent, revision)
	if err != nil {
		t.Fatal(err)
	}

	volumes := map[string]string{}
	for _, volume := range template.Spec.Volumes {
		volumes[volume.Name] = t.TempDir()
	}

	data, err := agentspec.MarshalResolved(agent)
	if err != nil {
		t.Fatal(err)
	}

	source := filepath.Join(volumes["config"], kube.RevisionKey)
	if err := os.WriteFile(source, data, 0o600); err != nil {
		t.Fatal(err)
	}

	loader, main := template.Spec.InitContainers[0], template.Spec.Containers[0]
	if code := Execute(t.Context(), testEnv(t), onThisMachine(loader, volumes)); code != exitOK {
		t.Fatalf("the init container ended with %d", code)
	}

	at := slices.IndexFunc(main.Env, func(variable corev1.EnvVar) bool { return variable.Name == agentFileVariable })
	config := settled(t, maker, revision, map[string]string{agentFileVariable: main.Env[at].Value})

	file := onThisMachine(corev1.Container{Args: []string{config.Agent.File}, VolumeMounts: main.VolumeMounts}, volumes)[0]
	if _, err := agentspec.LoadResolved(file, config.Agent.Revision); err != nil || !strings.HasPrefix(file, volumes[loadedVolume]) {
		t.Errorf("%s: %v", file, err)
	}

	if slices.ContainsFunc(main.VolumeMounts, func(mount corev1.VolumeMount) bool { return mount.Name == loadedVolume && !mount.ReadOnly }) {
		t.Error("the agent may write to what was loaded")
	}

	// The template of pods that were made before says nothing of it.
	if config := settled(t, maker, revision, nil); config.Agent.File != podConfigDir+"/"+kube.RevisionKey {
		t.Errorf("without the variable: %s", config.Agent.File)
	}

	// Another content is not this revision.
	if err := os.WriteFile(source, []byte(strings.Replace(string(data), "You bill.", "You steal.", 1)), 0o600); err != nil {
		t.Fatal(err)
	}

	if code := Execute(t.Context(), testEnv(t), onThisMachine(loader, volumes)); code != exitUsage {
		t.Errorf("another content: ended with %d", code)
	}
}

func testEnv(t *testing.T) *Env {
	t.Helper()

	return &Env{Stdout: t.Output(), Stderr: t.Output(), Getenv: func(string) string { return "" }}
}

// settled is the configuration of an agent's process in a pod with an environment.
func settled(t *testing.T, maker *podMaker, revision string, env map[string]string) workloadConfig {
	t.Helper()

	files, err := maker.Files("billing", revision)
	if err != nil {
		t.Fatal(err)
	}

	var config workloadConfig
	if err := json.Unmarshal([]byte(files[agentProcess]), &config); err != nil {
		t.Fatal(err)
	}

	all := map[string]string{"POD_NAMESPACE": "shop", "LLM_ENDPOINT": "http://127.0.0.1:7070/v1"}
	maps.Copy(all, env)

	if err := config.settle(func(name string) string { return all[name] }); err != nil {
		t.Fatal(err)
	}

	return config
}

// onThisMachine are a container's arguments with folders in the place of its mounts.
func onThisMachine(container corev1.Container, volumes map[string]string) []string {
	args := slices.Clone(container.Args)

	for i, arg := range args {
		for _, mount := range container.VolumeMounts {
			if rest, found := strings.CutPrefix(arg, mount.MountPath); found && (rest == "" || rest[0] == '/') {
				args[i] = volumes[mount.Name] + rest
			}
		}
	}

	return args
}
