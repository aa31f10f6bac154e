package app

import (
	"encoding/json"
	"fmt"
	"net"
	"os"

	"github.com/serinhq/serin/gateway"
	"github.com/serinhq/serin/internal/agentspec"
	"github.com/serinhq/serin/internal/rpc"
)

// workloadConfig is all that one process is told, by a supervisor or in a pod; secrets come through its environment or
// from files instead.
type workloadConfig struct {
	// Room is what runs: context, tools, ambassador, retriever, gateway, mesh, controller or agent.
	Room string `json:"room"`
	// Name is the service account: an agent's name, or one of the platform's.
	Name        string `json:"name"`
	Namespace   string `json:"namespace"`
	TrustDomain string `json:"trustDomain"`
	// Certificates is the directory that the supervisor keeps fresh certificates in; in a pod the process itself does.
	Certificates string `json:"certificates"`
	// Listeners are inherited sockets by name: grpc, http, llm, retriever, public, api.
	Listeners map[string]int `json:"listeners"`
	// Listen are addresses to open where no socket was inherited, by the same names. $(POD_IP) stands for the pod's own.
	Listen map[string]string `json:"listen,omitempty"`
	// Targets are the addresses of what is not reached through the mesh, by service account. In a pod the ambassador's is
	// a URL.
	Targets  map[string]string  `json:"targets"`
	LeaseTTL agentspec.Duration `json:"leaseTTL,omitempty"`
	LogLevel string             `json:"logLevel,omitempty"`
	// Drain bounds how long the process finishes what it has begun once it is told to end; 0 means 8 s. Whoever tells it
	// must wait for longer.
	Drain agentspec.Duration `json:"drain,omitempty"`
	// DataPlane is how it reaches the mesh; absent means as a supervised process does.
	DataPlane *dataPlaneSettings `json:"dataPlane,omitempty"`

	// Catalogue is the file that says which agents there are.
	Catalogue string `json:"catalogue,omitempty"`

	Context    *contextSettings    `json:"context,omitempty"`
	Gateway    *gatewaySettings    `json:"gateway,omitempty"`
	Agent      *agentSettings      `json:"agent,omitempty"`
	Retriever  *retrieverSettings  `json:"retriever,omitempty"`
	Mesh       *meshSettings       `json:"mesh,omitempty"`
	Controller *controllerSettings `json:"controller,omitempty"`

	pod podEnvironment
}

type contextSettings struct {
	// Database is the path of an SQLite file.
	Database string `json:"database,omitempty"`
	// Postgres says that a PostgreSQL database is used in its stead: the one that SERIN_POSTGRES_URL names.
	Postgres bool `json:"postgres,omitempty"`
}

type gatewaySettings struct {
	gateway.Door

	TokenFile string `json:"tokenFile,omitempty"`
	// InsecureNoAuth says that in a pod, too, everyone may do everything without a token.
	InsecureNoAuth bool `json:"insecureNoAuth,omitempty"`
	// PublicCertificates is the directory of the certificate that outside gRPC clients see.
	PublicCertificates string `json:"publicCertificates"`
	// PublicTLS is a directory with tls.crt and tls.key in its stead, where no supervisor issues one. Without it, there is
	// no gRPC for the outside.
	PublicTLS string `json:"publicTLS,omitempty"`
}

type agentSettings struct {
	// File is the resolved agent; Revision is the digest that it must have.
	File     string `json:"file"`
	Revision string `json:"revision"`
	// Peers describe the agents that it may hand off to.
	Peers []agentEntry `json:"peers"`
	// Retriever is the address of its retriever on this machine; in a pod CONTEXT_SERVICE_URL says it.
	Retriever string `json:"retriever,omitempty"`
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
	// Cluster says that agents are objects of Kubernetes, instead.
	Cluster *clusterSettings `json:"cluster,omitempty"`
}

func (c *workloadConfig) identity(name string) rpc.Identity {
	return rpc.Identity{TrustDomain: c.TrustDomain, Namespace: c.Namespace, Name: name}
}

// listener takes an inherited socket, or opens the one that is configured.
func (c *workloadConfig) listener(name string) (net.Listener, error) {
	descriptor, ok := c.Listeners[name]
	if !ok {
		return c.listen(name)
	}

	file := os.NewFile(uintptr(descriptor), name)
	defer file.Close() //nolint:errcheck // the listener has its own descriptor

	listener, err := net.FileListener(file)
	if err != nil {
		return nil, fmt.Errorf("%s: inherit listener %q: %w", c.Name, name, err)
	}

	return listener, nil
}

func (c *workloadConfig) listen(name string) (net.Listener, error) {
	address, err := c.listenAddress(name)
	if err != nil {
		return nil, err
	}

	listener, err := net.Listen("tcp", address) //nolint:noctx // taking a port does not block
	if err != nil {
		return nil, fmt.Errorf("%s: listen.%s: %w", c.Name, name, err)
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
