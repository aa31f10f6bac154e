package tools

import (
	"context"
	"slices"
	"strings"

	"google.golang.org/grpc/codes"

	"github.com/serinhq/serin/internal/agentspec"
	"github.com/serinhq/serin/internal/fault"
	"github.com/serinhq/serin/internal/rpc"
)

// wildcard at the end of a grant's name means all tools of the server named before it.
const wildcard = "_*"

// alwaysAsk is the setting that demands a human's approval for each call.
const alwaysAsk = "always"

// grants are the tools that each agent may use.
type grants map[string][]agentspec.Tool

func newGrants(from map[string][]agentspec.Tool) grants {
	copied := grants{}
	for agent, tools := range from {
		copied[agent] = slices.Clone(tools)
	}

	return copied
}

// of returns what was granted to the peer of the request.
func (g grants) of(ctx context.Context) (agent string, granted []agentspec.Tool, err error) {
	peer, ok := rpc.Peer(ctx)
	if !ok {
		return "", nil, fault.New(codes.Unauthenticated, "NO_IDENTITY", "tools are for agents, and the caller has no identity")
	}

	return peer.Name, g[peer.Name], nil
}

// allows reports whether a tool may be used, and whether the grant itself demands approval of each call.
func allows(granted []agentspec.Tool, name string) (allowed, approval bool) {
	for _, grant := range granted {
		if covers(grant.Name, name) {
			allowed = true
			approval = approval || grant.Approval == alwaysAsk
		}
	}

	return allowed, approval
}

// covers reports whether a granted name means a tool. A server's name has no underscore, so the first one ends it.
func covers(grant, name string) bool {
	if server, all := strings.CutSuffix(grant, wildcard); all {
		return serverOf(name) == server && server != ""
	}

	return grant == name
}

// serverOf returns the server in a tool's name; empty for a built-in one.
func serverOf(name string) string {
	server, _, found := strings.Cut(name, "_")
	if !found {
		return ""
	}

	return server
}

func notAllowed(agent, tool string) error {
	return fault.New(codes.PermissionDenied, "TOOL_NOT_ALLOWED",
		"agent %s may not use the tool %q: its tools do not list it", agent, tool).
		With("agent", agent).With("tool", tool)
}

func unknownTool(name string) error {
	return fault.New(codes.NotFound, "TOOL_UNKNOWN", "there is no tool named %q", name).With("tool", name)
}
