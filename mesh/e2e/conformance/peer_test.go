package conformance_test

import (
	"context"

	"google.golang.org/grpc/credentials"
	grpcpeer "google.golang.org/grpc/peer"

	"github.com/serinhq/serin/internal/rpc"
)

// peerIdentity reads the certificate that the handshake verified.
func peerIdentity(ctx context.Context) (rpc.Identity, bool) {
	connection, ok := grpcpeer.FromContext(ctx)
	if !ok {
		return rpc.Identity{}, false
	}

	info, ok := connection.AuthInfo.(credentials.TLSInfo)
	if !ok || info.SPIFFEID == nil {
		return rpc.Identity{}, false
	}

	id, err := rpc.ParseIdentity(info.SPIFFEID.String())

	return id, err == nil
}
