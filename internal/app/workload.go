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
	// Room is what runs: context, tools, ambassador, gateway or agent.
	Room string `json:"room"`
	// Name is the service account: an agent's name, or one of the platform's.
	Name        string `json:"name"`
	Namespace   string `json:"namespace"`
	TrustDomain string `json:"trustDomain"`
	// Certificates is the directory that the supervisor keeps fresh certificates in.
	Certificates string `json:"certificates"`
	// Listeners are inherited sockets by name: grpc, http, llm, public.
	Listeners map[string]int `json:"listeners"`
	// Targets are the addresses of other workloads by service account.
	Targets  map[string]string  `json:"targets"`
	LeaseTTL agentspec.Duration `json:"leaseTTL,omitempty"`
	LogLevel string             `json:"logLevel,omitempty"`

	Context *contextSettings `json:"context,omitempty"`
	Tools   *toolsSettings   `json:"tools,omitempty"`
	Gateway *gatewaySettings `json:"gateway,omitempty"`
	Agent   *agentSettings   `json:"agent,omitempty"`
}

type contextSettings struct {
	Database string `json:"database"`
}

type toolsSettings struct {
	Servers []agentspec.MCPServer       `json:"servers"`
	Grants  map[string][]agentspec.Tool `json:"grants"`
}

type gatewaySettings struct {
	Agents    []agentEntry `json:"agents"`
	TokenFile string       `json:"tokenFile,omitempty"`
	// PublicCertificates is the directory of the certificate that outside gRPC clients see.
	PublicCertificates string `json:"publicCertificates"`
}

// agentEntry is what the gateway knows of an agent.
type agentEntry struct {
	Name        string            `json:"name"`
	Description string            `json:"description"`
	Entry       bool              `json:"entry"`
	Budgets     agentspec.Budgets `json:"budgets"`
}

type agentSettings struct {
	// File is the resolved agent; Revision is the digest that it must have.
	File     string `json:"file"`
	Revision string `json:"revision"`
	// Peers describe the agents that it may hand off to.
	Peers []agentEntry `json:"peers"`
	// Callers may hand off to it.
	Callers []string `json:"callers"`
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
