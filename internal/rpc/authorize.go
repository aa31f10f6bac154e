package rpc

import (
	"context"

	middleware "github.com/grpc-ecosystem/go-grpc-middleware/v2"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"

	"github.com/serinhq/serin/internal/fault"
)

// authorizer knows who the peer is and whether it may call. Identifying comes first, so that a refusal's log line names
// the peer.
type authorizer struct {
	own    Identity // only trust domain and namespace count
	policy Policy
}

func (a authorizer) identifyUnary(
	ctx context.Context, request any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler,
) (any, error) {
	return handler(withVerifiedPeer(ctx), request)
}

func (a authorizer) identifyStream(
	server any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler,
) error {
	wrapped := middleware.WrapServerStream(stream)
	wrapped.WrappedContext = withVerifiedPeer(stream.Context())

	return handler(server, wrapped)
}

func (a authorizer) unary(
	ctx context.Context, request any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler,
) (any, error) {
	if err := a.check(ctx, info.FullMethod); err != nil {
		return nil, err
	}

	return handler(ctx, request)
}

func (a authorizer) stream(
	server any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler,
) error {
	if err := a.check(stream.Context(), info.FullMethod); err != nil {
		return err
	}

	return handler(server, stream)
}

// check is the whole decision: a verified peer, of our trust domain and namespace, that the policy allows.
func (a authorizer) check(ctx context.Context, method string) error {
	id, ok := Peer(ctx)
	if !ok {
		return unidentified(ctx, method)
	}

	home := id.TrustDomain == a.own.TrustDomain && id.Namespace == a.own.Namespace
	if !home || !a.policy.allows(method, id) {
		return fault.New(codes.PermissionDenied, "METHOD_NOT_ALLOWED", "%s may not call %s", id, method).
			With("peer", id.String()).With("method", method)
	}

	return nil
}

type noPeerKey struct{}

// unidentified is the answer to a caller who is nobody, with the reason if there is one.
func unidentified(ctx context.Context, method string) error {
	if why, ok := ctx.Value(noPeerKey{}).(error); ok {
		return fault.New(codes.Unauthenticated, "NO_IDENTITY", "%s needs a caller that the sidecar has verified: %w", method, why)
	}

	return fault.New(codes.Unauthenticated, "NO_IDENTITY", "%s needs a client certificate with a SPIFFE ID", method)
}

// withVerifiedPeer reads the peer from the certificate that the handshake verified, or, on connections from the own
// sidecar, from what that has verified; and from nothing else.
func withVerifiedPeer(ctx context.Context) context.Context {
	connection, ok := peer.FromContext(ctx)
	if !ok {
		return ctx
	}

	switch info := connection.AuthInfo.(type) {
	case credentials.TLSInfo:
		return withCertified(ctx, info)
	case sidecarInfo:
		return withForwarded(ctx)
	default:
		return ctx
	}
}

func withCertified(ctx context.Context, info credentials.TLSInfo) context.Context {
	if len(info.State.PeerCertificates) == 0 {
		return ctx
	}

	uri, err := x509svid.IDFromCert(info.State.PeerCertificates[0])
	if err != nil {
		return ctx
	}

	id, err := ParseIdentity(uri.String())
	if err != nil {
		return ctx
	}

	return ContextWithPeer(ctx, id)
}

func withForwarded(ctx context.Context) context.Context {
	id, err := forwardedIdentity(metadata.ValueFromIncomingContext(ctx, headerForwarded))
	if err != nil {
		return context.WithValue(ctx, noPeerKey{}, err)
	}

	return ContextWithPeer(ctx, id)
}
