package app

import (
	"encoding/json"
	"fmt"
	"net"
	"os"

	"github.com/serinhq/serin/internal/agentspec"
	"github.com/serinhq/serin/internal/rpc"
)

// workloadConfig is all that one supervised process is told; secrets come through its environment instead.
type workloadConfig struct {
	// Room is what runs: context, tools, ambassador, gateway, mesh, controller or agent.
	Room string `json:"room"`
	// Name is the service account: an agent's name, or one of the platform's.
	Name        string `json:"name"`
	Namespace   string `json:"namespace"`
	TrustDomain string `json:"trustDomain"`
	// Certificates is the directory that the supervisor keeps fresh certificates in.
	Certificates string `json:"certificates"`
	// Listeners are inherited sockets by name: grpc, http, llm, public, api.
	Listeners map[string]int `json:"listeners"`
	// Targets are the addresses of what is not reached through the mesh, by service account.
	Targets  map[string]string  `json:"targets"`
	LeaseTTL agentspec.Duration `json:"leaseTTL,omitempty"`
	LogLevel string             `json:"logLevel,omitempty"`

	// Catalogue is the file that says which agents there are.
	Catalogue string `json:"catalogue,omitempty"`

	Context    *contextSettings    `json:"context,omitempty"`
	Gateway    *gatewaySettings    `json:"gateway,omitempty"`
	Agent      *agentSettings      `json:"agent,omitempty"`
	Mesh       *meshSettings       `json:"mesh,omitempty"`
	Controller *controllerSettings `json:"controller,omitempty"`
}

type contextSettings struct {
	Database string `json:"database"`
}

type gatewaySettings struct {
	TokenFile string `json:"tokenFile,omitempty"`
	// PublicCertificates is the directory of the certificate that outside gRPC clients see.
	PublicCertificates string `json:"publicCertificates"`
}

type agentSettings struct {
	// File is the resolved agent; Revision is the digest that it must have.
	File     string `json:"file"`
	Revision string `json:"revision"`
	// Peers describe the agents that it may hand off to.
	Peers []agentEntry `json:"peers"`
}

type meshSettings struct {
	// Directory is where Istio's objects are kept.
	Directory string `json:"directory"`
}

type controllerSettings struct {
	// Agents is the folder of the agents' files.
	Agents   string `json:"agents"`
	Database string `json:"database"`
	// Revisions is the directory of all that ever ran.
	Revisions string `json:"revisions"`
}

func (c *workloadConfig) identity(name string) rpc.Identity {
	return rpc.Identity{TrustDomain: c.TrustDomain, Namespace: c.Namespace, Name: name}
}

// listener takes an inherited socket.
func (c *workloadConfig) listener(name string) (net.Listener, error) {
	descriptor, ok := c.Listeners[name]
	if !ok {
		return nil, fmt.Errorf("%s: no listener named %q was inherited", c.Name, name)
	}

	file := os.NewFile(uintptr(descriptor), name)
	defer file.Close() //nolint:errcheck // the listener has its own descriptor

	listener, err := net.FileListener(file)
	if err != nil {
		return nil, fmt.Errorf("%s: inherit listener %q: %w", c.Name, name, err)
	}

	return listener, nil
}

func readWorkloadConfig(path string) (*workloadConfig, error) {
	data, err := os.ReadFile(path) //nolint:gosec // the supervisor wrote it
	if err != nil {
		return nil, usageErrorf("--config: %v", err)
	}

	var config workloadConfig
	if err := json.Unmarshal(data, &config); err != nil {
		return nil, usageErrorf("--config %s: %v", path, err)
	}

	return &config, nil
}
