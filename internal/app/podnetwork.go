package app

import (
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/serinhq/serin/mesh/controller/kube"
)

// ollamaPort is where Ollama listens if OLLAMA_HOST names no port.
const ollamaPort = 11434

// podNetwork is what network policies let agents' pods do; nil if there are to be none.
func podNetwork(settings *clusterSettings, plane *dataPlaneSettings) *kube.Network {
	if !settings.isolates() {
		return nil
	}

	network := &kube.Network{
		Pages:   []int32{8080, podAmbassadorHTTP, podRetrieverHTTP},
		Outside: append([]int32{443}, settings.EgressPorts...),
	}
	network.ControlPlaneNamespace, network.ControlPlane = controlPlane(plane)

	if plane.Mode == planeSidecar {
		network.Pages = append(network.Pages, 15020, 15090) // the Envoy's own, and where it has the process's beside them
	}

	for _, from := range []map[string]string{settings.LLMEnv, settings.TelemetryEnv} {
		for _, name := range slices.Sorted(maps.Keys(from)) {
			if port, ok := outsidePort(name, from[name]); ok {
				network.Outside = append(network.Outside, port)
			}
		}
	}

	return network
}

// controlPlane is where agents' pods reach istiod: its namespace, empty if it is no Service of the cluster, and ports.
func controlPlane(plane *dataPlaneSettings) (string, []int32) {
	if plane.Mode != planeProxyless { // an injected Envoy knows by itself
		return "istio-system", []int32{15010, 15012}
	}

	host, text, err := net.SplitHostPort(plane.Discovery)
	if err != nil {
		return "", []int32{15012}
	}

	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil || port == 0 {
		port = 15012
	}

	namespace := ""
	if labels := strings.Split(host, "."); len(labels) > 2 && labels[2] == "svc" {
		namespace = labels[1]
	}

	return namespace, []int32{int32(port)}
}

// outsidePort is the port that a variable of the ambassador or of telemetry leads to, if it has an address.
func outsidePort(name, value string) (int32, bool) {
	if name != "OLLAMA_HOST" {
		return kube.PortOf(value)
	}

	_, host, found := strings.Cut(value, "://") // as Ollama reads it: a URL, host:port, host or :port
	if !found {
		host = value
	}

	if _, port, err := net.SplitHostPort(strings.TrimSuffix(host, "/")); err == nil {
		return kube.PortOf("http://ollama:" + port)
	}

	return ollamaPort, value != ""
}
