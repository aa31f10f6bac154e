package controller

import (
	"context"

	"google.golang.org/grpc/metadata"

	"github.com/serinhq/serin/internal/rpc"
)

// ActorHeader names, in calls of the gateway, who it acts for: tenant/user.
const ActorHeader = "serin-actor"

// actorOf returns who acts: whom the gateway names, else who calls.
func actorOf(ctx context.Context) string {
	peer, ok := rpc.Peer(ctx)
	if !ok {
		return "unknown"
	}

	named := metadata.ValueFromIncomingContext(ctx, ActorHeader)
	if peer.Name == rpc.Gateway && len(named) == 1 && named[0] != "" {
		return named[0]
	}

	return peer.Name
}
