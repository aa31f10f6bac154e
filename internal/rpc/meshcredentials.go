package rpc

import (
	"context"
	"errors"
	"fmt"
	"net"

	"google.golang.org/grpc/credentials"
	xdscredentials "google.golang.org/grpc/credentials/xds"
)

// meshClientCredentials are mutual TLS as the control plane configures it: whom a cluster's endpoints must prove to be
// is its decision. Without a configuration there is no connection.
func meshClientCredentials() (credentials.TransportCredentials, error) {
	made, err := xdscredentials.NewClientCredentials(xdscredentials.ClientOptions{FallbackCreds: refusing{}})
	if err != nil {
		return nil, fmt.Errorf("credentials of the mesh: %w", err)
	}

	return made, nil
}

// meshServerCredentials are mutual TLS as the control plane configures it, or no connection.
func meshServerCredentials() (credentials.TransportCredentials, error) {
	made, err := xdscredentials.NewServerCredentials(xdscredentials.ServerOptions{FallbackCreds: refusing{}})
	if err != nil {
		return nil, fmt.Errorf("credentials of the mesh: %w", err)
	}

	return made, nil
}

var errNoSecurity = errors.New("the control plane sent no TLS configuration, and plain text is refused")

// refusing stands where the mesh would fall back to plain text.
type refusing struct{}

var _ credentials.TransportCredentials = refusing{}

func (refusing) ClientHandshake(context.Context, string, net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return nil, nil, errNoSecurity
}

func (refusing) ServerHandshake(net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return nil, nil, errNoSecurity
}

func (refusing) Info() credentials.ProtocolInfo {
	return credentials.ProtocolInfo{SecurityProtocol: "tls"}
}

func (r refusing) Clone() credentials.TransportCredentials { return r }

func (refusing) OverrideServerName(string) error { return nil }
