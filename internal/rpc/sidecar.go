package rpc

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"google.golang.org/grpc/credentials"
)

// Beside an Envoy, as Istio injects it, a process speaks plain gRPC: the Envoy proves who it is, and verifies who calls.
// Servers take connections of this pod alone, since the Envoy's come from there, and believe its header about the
// caller; clients dial the service's own name, which the Envoy takes over. No Envoy can be had where Serin is tested:
// this mode rests on Envoy's and Istio's documentation and on unit tests, and has not been run against either.
//
// Whatever else runs in the pod may connect as well and say that it is anybody. Share a pod with nobody who is not
// trusted as much as the process itself.

// SidecarTarget returns what to dial for a service where an Envoy beside the process does the mesh's work.
func SidecarTarget(namespace, service string) string {
	return "dns:///" + Host(namespace, service) + ":" + ServicePort
}

// atSidecar reports whether an Envoy beside the process holds the certificate.
func (c Credentials) atSidecar() bool { return c.Sidecar != Identity{} }

// sidecarInfo marks connections from the own Envoy.
type sidecarInfo struct{ credentials.CommonAuthInfo }

func (sidecarInfo) AuthType() string { return "sidecar" }

// besideEnvoy takes plain connections from this pod.
type besideEnvoy struct{}

var _ credentials.TransportCredentials = besideEnvoy{}

func (besideEnvoy) ServerHandshake(connection net.Conn) (net.Conn, credentials.AuthInfo, error) {
	if err := checkInPod(connection.RemoteAddr()); err != nil {
		return nil, nil, err
	}

	return connection, sidecarInfo{credentials.CommonAuthInfo{SecurityLevel: credentials.NoSecurity}}, nil
}

func (besideEnvoy) ClientHandshake(context.Context, string, net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return nil, nil, errors.New("these credentials are for servers")
}

func (besideEnvoy) Info() credentials.ProtocolInfo {
	return credentials.ProtocolInfo{SecurityProtocol: "insecure"}
}

func (b besideEnvoy) Clone() credentials.TransportCredentials { return b }

func (besideEnvoy) OverrideServerName(string) error { return nil }

// envoySource6 is where Istio's Envoy connects from over IPv6; over IPv4 it is 127.0.0.6, a loopback address.
var envoySource6 = netip.MustParseAddr("::6")

// checkInPod refuses who could have come around the Envoy.
func checkInPod(address net.Addr) error {
	tcp, ok := address.(*net.TCPAddr)
	if !ok {
		return fmt.Errorf("plain gRPC is for the Envoy beside this process, not for %s", address)
	}

	if source := tcp.AddrPort().Addr().Unmap(); !source.IsLoopback() && source != envoySource6 {
		return fmt.Errorf("plain gRPC is for the Envoy beside this process, which connects from 127.0.0.6, not for %s", address)
	}

	return nil
}
