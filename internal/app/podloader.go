package app

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/serinhq/serin/mesh/api/v1alpha1"
	"github.com/serinhq/serin/mesh/controller/kube"
	"github.com/serinhq/serin/services/configload"
)

const (
	// podLoadedDir is where the init container puts the verified agent, and where the agent's process reads it.
	podLoadedDir = "/config"
	loadedVolume = "loaded"

	// agentFileVariable names the agent's file to its process, in the place of what the process's own file says: that is in
	// the revision's ConfigMap, which can't change, and the template of its pods can.
	agentFileVariable = "SERIN_AGENT_FILE"
)

// loaderContainer runs before all others: it copies the revision's agent out of its ConfigMap and verifies that it is that
// revision, so that no process starts with another.
func (m *podMaker) loaderContainer(revision string) corev1.Container {
	return corev1.Container{
		Name: v1alpha1.Loader, Image: m.settings.Image, ImagePullPolicy: corev1.PullIfNotPresent,
		Args: []string{"load-config", "--agent", podConfigDir + "/" + kube.RevisionKey, "--revision", revision, "--out", podLoadedDir},
		VolumeMounts: []corev1.VolumeMount{
			{Name: "config", MountPath: podConfigDir, ReadOnly: true},
			{Name: loadedVolume, MountPath: podLoadedDir},
		},
		SecurityContext: restricted(),
		// What it says of a failure is one line, which the pod's status and the conditions of the Agent then have.
		TerminationMessagePolicy: corev1.TerminationMessageFallbackToLogsOnError,
		Resources: corev1.ResourceRequirements{
			Requests: corev1.ResourceList{
				corev1.ResourceCPU: resource.MustParse("50m"), corev1.ResourceMemory: resource.MustParse("64Mi"),
			},
			Limits: corev1.ResourceList{
				corev1.ResourceCPU: resource.MustParse("1"), corev1.ResourceMemory: resource.MustParse("256Mi"),
			},
		},
	}
}

// readLoaded has the agent's container read what was loaded.
func readLoaded(container *corev1.Container) {
	container.Env = append(container.Env, corev1.EnvVar{Name: agentFileVariable, Value: podLoadedDir + "/" + configload.AgentFile})
	container.VolumeMounts = append(container.VolumeMounts, corev1.VolumeMount{Name: loadedVolume, MountPath: podLoadedDir, ReadOnly: true})
}

func loadedPodVolume() corev1.Volume {
	return corev1.Volume{Name: loadedVolume, VolumeSource: corev1.VolumeSource{
		EmptyDir: &corev1.EmptyDirVolumeSource{SizeLimit: new(resource.MustParse("16Mi"))},
	}}
}
