package app

import (
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/serinhq/serin/internal/rpc"
)

// How a process reaches the mesh.
const (
	// planeEmbedded: a supervisor hands out certificates and the bootstrap, and this machine's own control plane steers.
	planeEmbedded = "embedded"
	// planeProxyless: the process gets its certificates from istiod, which also steers it; there is no Envoy.
	planeProxyless = "proxyless"
	// planeSidecar: an Envoy in the pod does all that. No Envoy can be had where Serin is tested: analysed, not run.
	planeSidecar = "sidecar"
	// planeNone is for a process that speaks to its own pod alone: an ambassador, a retriever.
	planeNone = "none"
)

// podAddress stands in an address to listen at for the pod's own IP address.
const podAddress = "$(POD_IP)"

// dataPlaneSettings say how a process reaches the mesh. Without them it is embedded.
type dataPlaneSettings struct {
	// Mode is embedded, proxyless, sidecar or none.
	Mode string `json:"mode"`
	// Discovery is the host:port of istiod's secure port, such as istiod.istio-system.svc:15012. Like the files below it
	// is for proxyless alone.
	Discovery string `json:"discovery,omitempty"`
	// TokenFile is a projected service account token for the audience istio-ca.
	TokenFile string `json:"tokenFile,omitempty"`
	// RootFile is root-cert.pem of the ConfigMap istio-ca-root-cert.
	RootFile string `json:"rootFile,omitempty"`
	// ClusterID is istiod's name for the cluster; empty means Kubernetes.
	ClusterID string `json:"clusterID,omitempty"`
	// Labels are the pod's; those in LabelsFile, in the downward API's form, win.
	Labels     map[string]string `json:"labels,omitempty"`
	LabelsFile string            `json:"labelsFile,omitempty"`
}

// podEnvironment is what Kubernetes tells a process about its pod.
type podEnvironment struct{ name, namespace, address, bootstrap, agentFile string }

// plane is the mode.
func (c *workloadConfig) plane() string {
	if c.DataPlane == nil || c.DataPlane.Mode == "" {
		return planeEmbedded
	}

	return c.DataPlane.Mode
}

// settle fills what the pod's environment tells, and checks that the settings fit each other. Nothing of a supervised
// process changes.
func (c *workloadConfig) settle(getenv func(string) string) error {
	problems := problems{}

	if !slices.Contains([]string{planeEmbedded, planeProxyless, planeSidecar, planeNone}, c.plane()) {
		problems.add("dataPlane.mode", "%q: must be embedded, proxyless, sidecar or none", c.DataPlane.Mode)

		return problems.err()
	}

	if c.plane() != planeEmbedded {
		c.fill(podEnvironment{
			name: getenv("POD_NAME"), namespace: getenv("POD_NAMESPACE"), address: getenv("POD_IP"),
			bootstrap: getenv("GRPC_XDS_BOOTSTRAP"), agentFile: getenv(agentFileVariable),
		}, getenv("LLM_ENDPOINT"), &problems)
	}

	switch c.plane() {
	case planeProxyless:
		c.checkProxyless(&problems)
	default:
		c.checkUnused(&problems)
	}

	if c.plane() != planeEmbedded {
		c.checkRoom(&problems)
	}

	if c.Drain < 0 {
		problems.add("drain", "%s: must not be negative", time.Duration(c.Drain))
	}

	return problems.err()
}

// fill takes from the pod what the file leaves open, and where the agent's file was loaded to.
func (c *workloadConfig) fill(pod podEnvironment, llm string, problems *problems) {
	c.pod = pod

	if c.Namespace == "" {
		c.Namespace = pod.namespace
	}

	if c.TrustDomain == "" {
		c.TrustDomain = rpc.DefaultTrustDomain
	}

	if c.Targets[rpc.Ambassador] == "" && llm != "" {
		c.Targets = map[string]string{rpc.Ambassador: llm}
	}

	if c.Agent != nil && pod.agentFile != "" {
		c.Agent.File = pod.agentFile
	}

	if c.Namespace == "" && c.plane() != planeNone {
		problems.add("namespace", `"": must be the pod's, here or in the environment variable POD_NAMESPACE`)
	}

	if pod.namespace != "" && c.Namespace != pod.namespace {
		problems.add("namespace", "%q: must be the pod's, which POD_NAMESPACE says is %q", c.Namespace, pod.namespace)
	}
}

// checkUnused refuses settings of another mode: whoever wrote them expects what will not happen.
func (c *workloadConfig) checkUnused(problems *problems) {
	if c.DataPlane == nil {
		return
	}

	for _, field := range []struct{ name, value string }{
		{"discovery", c.DataPlane.Discovery},
		{"tokenFile", c.DataPlane.TokenFile},
		{"rootFile", c.DataPlane.RootFile},
		{"clusterID", c.DataPlane.ClusterID},
		{"labelsFile", c.DataPlane.LabelsFile},
	} {
		if field.value != "" {
			problems.add("dataPlane."+field.name, "%q: is for mode proxyless and must be absent, or the mode %q must be another",
				field.value, c.plane())
		}
	}
}

func (c *workloadConfig) checkProxyless(problems *problems) {
	plane := c.DataPlane

	if host, port, err := net.SplitHostPort(plane.Discovery); err != nil || host == "" || port == "" {
		problems.add("dataPlane.discovery", "%q: must be istiod's host:port, such as istiod.istio-system.svc:15012", plane.Discovery)
	}

	for _, needed := range []struct{ field, value, right string }{
		{"dataPlane.tokenFile", plane.TokenFile, "must be the file of a projected service account token with the audience istio-ca"},
		{"dataPlane.rootFile", plane.RootFile, "must be the file root-cert.pem of the mounted ConfigMap istio-ca-root-cert"},
		{"certificates", c.Certificates, "must be a directory for the process's own key and certificate"},
		{"name", c.Name, "must be the pod's service account"},
		{"POD_NAME", c.pod.name, "the environment variable must be the pod's name, by the downward API"},
		{"GRPC_XDS_BOOTSTRAP", c.pod.bootstrap, "the environment variable must name the file that the process shall write its bootstrap to"},
	} {
		if needed.value == "" {
			problems.add(needed.field, `"": %s`, needed.right)
		}
	}

	if _, err := netip.ParseAddr(c.pod.address); err != nil {
		problems.add("POD_IP", "%q: the environment variable must be the pod's IP address, by the downward API", c.pod.address)
	}
}

// listenAddress is where a named listener opens, with the pod's address filled in.
func (c *workloadConfig) listenAddress(name string) (string, error) {
	address, ok := c.Listen[name]
	if !ok {
		return "", usageErrorf("%s: no listener named %q was inherited, and listen.%s is not set: it must be an address such as :9000",
			c.Name, name, name)
	}

	if strings.HasPrefix(address, podAddress) && c.pod.address == "" {
		return "", usageErrorf("listen.%s %q: the environment variable POD_IP is not set", name, address)
	}

	if rest, found := strings.CutPrefix(address, podAddress+":"); found {
		return net.JoinHostPort(c.pod.address, rest), nil
	}

	return address, nil
}
