package app

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"github.com/serinhq/serin/internal/agentspec"
	"github.com/serinhq/serin/mesh/api/v1alpha1"
	"github.com/serinhq/serin/mesh/controller/kube"
)

// Where an agent's pod has its files, and the ports that only it has.
const (
	podConfigDir    = "/etc/serin"
	podCatalogueDir = "/etc/serin-agents"
	podTokenDir     = "/var/run/secrets/serin/tokens" //nolint:gosec // a path, no secret
	podRootDir      = "/var/run/secrets/serin/istio"
	podStateDir     = "/var/run/serin"

	agentProcess      = "process.json"
	ambassadorProcess = "ambassador.json"

	podLLMPort        = 7070
	podAmbassadorHTTP = 8081

	// podGrace is how long Kubernetes waits for a pod to end, podDrain how long a process takes at most to finish its work.
	podGrace = 120
	podDrain = 100 * time.Second
)

// podMaker makes the pods of agents: what loads the agent, the agent's process, its own ambassador, and its retriever if it
// declares documents.
type podMaker struct {
	settings  *clusterSettings
	dataPlane dataPlaneSettings
	trust     string
	logLevel  string
}

// Files are the configuration of the processes.
func (m *podMaker) Files(agent, revision string) (map[string]string, error) {
	files := map[string]string{}

	for name, config := range map[string]workloadConfig{
		agentProcess: m.agentConfig(agent, revision), ambassadorProcess: m.ambassadorConfig(agent),
		retrieverProcess: m.retrieverConfig(agent, revision),
	} {
		data, err := json.MarshalIndent(config, "", "  ")
		if err != nil {
			return nil, fmt.Errorf("configure %s: %w", name, err)
		}

		files[name] = string(data) + "\n"
	}

	return files, nil
}

func (m *podMaker) agentConfig(agent, revision string) workloadConfig {
	plane := m.dataPlane
	if plane.Mode == planeProxyless {
		plane.TokenFile, plane.RootFile = podTokenDir+"/istio-token", podRootDir+"/root-cert.pem"
		plane.LabelsFile = podStateDir + "-pod/labels"
	}

	config := workloadConfig{
		Room: "agent", Name: agent, TrustDomain: m.trust, LogLevel: m.logLevel,
		Listen: map[string]string{"grpc": ":9000", "http": ":8080"},
		Drain:  agentspec.Duration(podDrain), DataPlane: &plane, Catalogue: podCatalogueDir + "/" + kube.CatalogueKey,
		Agent: &agentSettings{File: podConfigDir + "/" + kube.RevisionKey, Revision: revision},
	}
	if plane.Mode == planeProxyless {
		config.Certificates = podStateDir + "/certificates"
	}

	return config
}

func (m *podMaker) ambassadorConfig(agent string) workloadConfig {
	return workloadConfig{
		Room: "ambassador", Name: agent, TrustDomain: m.trust, LogLevel: m.logLevel,
		Listen: map[string]string{
			"llm": fmt.Sprintf("127.0.0.1:%d", podLLMPort), "http": fmt.Sprintf(":%d", podAmbassadorHTTP),
		},
		Drain: agentspec.Duration(podDrain), DataPlane: &dataPlaneSettings{Mode: planeNone},
	}
}

// Template is the pod of a revision.
func (m *podMaker) Template(agent agentspec.Agent, revision string) (corev1.PodTemplateSpec, error) {
	template := corev1.PodTemplateSpec{}
	template.Annotations = map[string]string{ // as Istio's samples of Prometheus look for pods
		"prometheus.io/scrape": "true", "prometheus.io/port": "8080", "prometheus.io/path": "/metrics",
	}
	template.Labels = map[string]string{}

	switch m.dataPlane.Mode {
	case planeProxyless:
		template.Labels["sidecar.istio.io/inject"] = "false"
		template.Labels["security.istio.io/tlsMode"] = "istio"
	case planeSidecar:
		template.Labels["sidecar.istio.io/inject"] = "true"
		// The agent must reach its peers from its first to its last moment: its proxy is a sidecar of Kubernetes' kind, where
		// Istio has them, and is waited for elsewhere.
		template.Annotations["sidecar.istio.io/nativeSidecar"] = "true"
		template.Annotations["proxy.istio.io/config"] = `{"holdApplicationUntilProxyStarts": true}`
	}

	template.Spec = corev1.PodSpec{
		TerminationGracePeriodSeconds: ptr.To[int64](podGrace),
		AutomountServiceAccountToken:  new(false),
		EnableServiceLinks:            new(false),
		SecurityContext: &corev1.PodSecurityContext{
			RunAsNonRoot: new(true), RunAsUser: new(m.settings.user()), FSGroup: new(m.settings.user()),
			SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
		},
		InitContainers: []corev1.Container{m.loaderContainer(revision), m.ambassadorContainer()},
		Containers:     []corev1.Container{m.agentContainer(agent)},
		Volumes:        m.volumes(agent.Metadata.Name, agentspec.Short(revision)),
	}

	m.addRetriever(agent, &template.Spec)

	return template, nil
}

func (m *podMaker) agentContainer(agent agentspec.Agent) corev1.Container {
	container := m.container("agent", cmp.Or(agent.Spec.Image, m.settings.Image), agentProcess, 8080)
	container.Ports = append(container.Ports, corev1.ContainerPort{Name: "grpc", ContainerPort: 9000, Protocol: corev1.ProtocolTCP})
	container.Env = append(container.Env,
		corev1.EnvVar{Name: "LLM_ENDPOINT", Value: fmt.Sprintf("http://127.0.0.1:%d/v1", podLLMPort)},
		corev1.EnvVar{Name: "GRPC_XDS_BOOTSTRAP", Value: podStateDir + "/xds.json"},
		corev1.EnvVar{Name: segmentsVariable, Value: strconv.Itoa(int(agent.Spec.Scaling.MaxConcurrentSegments))},
	)
	container.VolumeMounts = append(container.VolumeMounts,
		corev1.VolumeMount{Name: "catalogue", MountPath: podCatalogueDir, ReadOnly: true},
		corev1.VolumeMount{Name: "state", MountPath: podStateDir},
	)
	readLoaded(&container)

	if m.dataPlane.Mode == planeProxyless {
		container.VolumeMounts = append(container.VolumeMounts,
			corev1.VolumeMount{Name: "istio-token", MountPath: podTokenDir, ReadOnly: true},
			corev1.VolumeMount{Name: "istio-root", MountPath: podRootDir, ReadOnly: true},
			corev1.VolumeMount{Name: "pod", MountPath: podStateDir + "-pod", ReadOnly: true},
		)
	}

	return container
}

// ambassadorContainer is a sidecar as Kubernetes has them: it is there before the agent and ends after it, so that the
// turns of a draining agent still reach their models.
func (m *podMaker) ambassadorContainer() corev1.Container {
	container := m.container(v1alpha1.Ambassador, m.settings.Image, ambassadorProcess, podAmbassadorHTTP)
	container.RestartPolicy = ptr.To(corev1.ContainerRestartPolicyAlways)
	container.Ports[0].Name = "llm-http"

	for _, name := range slices.Sorted(maps.Keys(m.settings.LLMEnv)) {
		container.Env = append(container.Env, corev1.EnvVar{Name: name, Value: m.settings.LLMEnv[name]})
	}

	if m.settings.LLMSecret != "" {
		container.EnvFrom = append(container.EnvFrom, secretEnv(m.settings.LLMSecret))
	}

	return container
}

func secretEnv(name string) corev1.EnvFromSource {
	return corev1.EnvFromSource{SecretRef: &corev1.SecretEnvSource{
		LocalObjectReference: corev1.LocalObjectReference{Name: name}, Optional: new(true),
	}}
}

// container runs one of Serin's processes with health pages on a port.
func (m *podMaker) container(name, image, file string, port int32) corev1.Container {
	container := corev1.Container{
		Name: name, Image: image, ImagePullPolicy: corev1.PullIfNotPresent,
		Args:  []string{"serve", "--config", podConfigDir + "/" + file},
		Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: port, Protocol: corev1.ProtocolTCP}},
		Env: []corev1.EnvVar{
			fieldEnv("POD_NAME", "metadata.name"), fieldEnv("POD_NAMESPACE", "metadata.namespace"), fieldEnv("POD_IP", "status.podIP"),
		},
		VolumeMounts:    []corev1.VolumeMount{{Name: "config", MountPath: podConfigDir, ReadOnly: true}},
		SecurityContext: restricted(),
		Resources: corev1.ResourceRequirements{
			Requests: corev1.ResourceList{
				corev1.ResourceCPU: resource.MustParse("100m"), corev1.ResourceMemory: resource.MustParse("128Mi"),
			},
			Limits: corev1.ResourceList{
				corev1.ResourceCPU: resource.MustParse("2"), corev1.ResourceMemory: resource.MustParse("1Gi"),
			},
		},
		// The startup probe holds the others back, so that they need no delay of their own.
		StartupProbe:   probe("startup", port, 2, 75),
		ReadinessProbe: probe("ready", port, 5, 2),
		LivenessProbe:  probe("live", port, 15, 3),
	}

	// What an Agent's own pod says of the same variables wins: it is merged over this.
	for _, variable := range telemetryEnv(m.settings.telemetry()) {
		name, value, _ := strings.Cut(variable, "=")
		container.Env = append(container.Env, corev1.EnvVar{Name: name, Value: value})
	}

	if m.settings.TelemetrySecret != "" {
		container.EnvFrom = append(container.EnvFrom, secretEnv(m.settings.TelemetrySecret))
	}

	return container
}

func restricted() *corev1.SecurityContext {
	return &corev1.SecurityContext{
		AllowPrivilegeEscalation: new(false), ReadOnlyRootFilesystem: new(true),
		Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
	}
}

func fieldEnv(name, path string) corev1.EnvVar {
	return corev1.EnvVar{Name: name, ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: path}}}
}

func probe(page string, port, period, failures int32) *corev1.Probe {
	return &corev1.Probe{
		ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{
			Path: "/health/" + page, Port: intstr.FromInt32(port),
		}},
		PeriodSeconds: period, FailureThreshold: failures, TimeoutSeconds: 3,
	}
}

func (m *podMaker) volumes(agent, short string) []corev1.Volume {
	volumes := []corev1.Volume{ //nolint:prealloc // most of it is here
		{Name: "config", VolumeSource: configMapVolume(kube.ObjectName(agent, short), false)},
		{Name: "catalogue", VolumeSource: configMapVolume(kube.CatalogueMap, true)},
		loadedPodVolume(),
		{Name: "state", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{Medium: corev1.StorageMediumMemory}}},
	}
	if m.dataPlane.Mode != planeProxyless {
		return volumes
	}

	return append(volumes,
		corev1.Volume{Name: "istio-token", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
			Sources: []corev1.VolumeProjection{{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{
				Audience: "istio-ca", ExpirationSeconds: ptr.To[int64](3600), Path: "istio-token",
			}}},
		}}},
		corev1.Volume{Name: "istio-root", VolumeSource: configMapVolume("istio-ca-root-cert", false)},
		corev1.Volume{Name: "pod", VolumeSource: corev1.VolumeSource{DownwardAPI: &corev1.DownwardAPIVolumeSource{
			Items: []corev1.DownwardAPIVolumeFile{{
				Path: "labels", FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.labels"},
			}},
		}}},
	)
}

func configMapVolume(name string, optional bool) corev1.VolumeSource {
	return corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{
		LocalObjectReference: corev1.LocalObjectReference{Name: name}, Optional: new(optional),
	}}
}
