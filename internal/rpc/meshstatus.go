package rpc

import (
	"fmt"

	statusv3 "github.com/envoyproxy/go-control-plane/envoy/service/status/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/xds/csds"
)

// The methods of Envoy's client status service.
const (
	streamClientStatus = "/envoy.service.status.v3.ClientStatusDiscoveryService/StreamClientStatus"
	fetchClientStatus  = "/envoy.service.status.v3.ClientStatusDiscoveryService/FetchClientStatus"
)

// meshPolicy lets those who operate the mesh see what a process has got from it.
func (c ServerConfig) meshPolicy() Policy {
	if !c.Mesh {
		return nil
	}

	operators := Names(Supervisor, Operator)

	return Policy{streamClientStatus: operators, fetchClientStatus: operators}
}

// registerMeshStatus serves which resources of the mesh this process has, and which it refused (CSDS).
func registerMeshStatus(registrar grpc.ServiceRegistrar) error {
	status, err := csds.NewClientStatusDiscoveryServer()
	if err != nil {
		return fmt.Errorf("serving the mesh's status: %w", err)
	}

	statusv3.RegisterClientStatusDiscoveryServiceServer(registrar, status)

	return nil
}
