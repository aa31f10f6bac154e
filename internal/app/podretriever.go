package app

import (
	"fmt"
	"path"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/serinhq/serin/internal/agentspec"
	"github.com/serinhq/serin/mesh/controller/kube"
)

const (
	retrieverProcess = "retriever.json"
	// podDocumentsDir has each ConfigMap of documents by its name, podIndexDir the index that is made of them.
	podDocumentsDir = "/var/run/serin-documents"
	podIndexDir     = "/var/lib/serin-retriever"

	podRetrieverPort = 9090
	podRetrieverHTTP = 8082
)

// retrieverConfig is that of the retriever in an agent's pod, if the agent has one.
func (m *podMaker) retrieverConfig(agent, revision string) workloadConfig {
	return workloadConfig{
		Room: "retriever", Name: agent, TrustDomain: m.trust, LogLevel: m.logLevel,
		Listen: map[string]string{
			"retriever": fmt.Sprintf("127.0.0.1:%d", podRetrieverPort), "http": fmt.Sprintf(":%d", podRetrieverHTTP),
		},
		Drain: agentspec.Duration(podDrain), DataPlane: &dataPlaneSettings{Mode: planeNone},
		Retriever: &retrieverSettings{
			File: podConfigDir + "/" + kube.RevisionKey, Revision: revision,
			Index: podIndexDir + "/index.db", ConfigMaps: podDocumentsDir,
		},
	}
}

// addRetriever puts the retriever of an agent that declares documents into its pod.
func (m *podMaker) addRetriever(agent agentspec.Agent, pod *corev1.PodSpec) {
	declared := agent.Spec.Retriever
	if declared == nil {
		return
	}

	container := m.container("retriever", m.settings.Image, retrieverProcess, podRetrieverHTTP)
	container.Ports[0].Name = "docs-http"
	container.ReadinessProbe = nil // the agent does without documents: it must not lose its users for want of them
	container.Env = append(container.Env, corev1.EnvVar{Name: "LLM_ENDPOINT", Value: fmt.Sprintf("http://127.0.0.1:%d/v1", podLLMPort)})
	container.Resources = corev1.ResourceRequirements{
		Requests: corev1.ResourceList{
			corev1.ResourceCPU: resource.MustParse("100m"), corev1.ResourceMemory: resource.MustParse("256Mi"),
		},
		Limits: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1"), corev1.ResourceMemory: resource.MustParse("2Gi")},
	}
	container.VolumeMounts = append(container.VolumeMounts, corev1.VolumeMount{Name: "index", MountPath: podIndexDir})

	pod.Volumes = append(pod.Volumes, corev1.Volume{Name: "index", VolumeSource: corev1.VolumeSource{
		EmptyDir: &corev1.EmptyDirVolumeSource{SizeLimit: new(resource.MustParse("2Gi"))},
	}})

	for i, place := range declared.Documents {
		if place.ConfigMap == "" {
			continue
		}

		// Without it the pod starts all the same: agents do without documents.
		volume := corev1.Volume{Name: fmt.Sprintf("documents-%d", i), VolumeSource: configMapVolume(place.ConfigMap, true)}
		pod.Volumes = append(pod.Volumes, volume)
		container.VolumeMounts = append(container.VolumeMounts, corev1.VolumeMount{
			Name: volume.Name, MountPath: path.Join(podDocumentsDir, place.ConfigMap), ReadOnly: true,
		})
	}

	pod.Containers = append(pod.Containers, container)
	pod.Containers[0].Env = append(pod.Containers[0].Env, corev1.EnvVar{
		Name: retrieverVariable, Value: fmt.Sprintf("http://127.0.0.1:%d", podRetrieverPort),
	})
}
