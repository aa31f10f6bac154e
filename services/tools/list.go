package tools

import (
	"context"
	"strings"

	"google.golang.org/protobuf/proto"

	toolsv1 "github.com/serinhq/serin/gen/serin/tools/v1"
	"github.com/serinhq/serin/internal/agentspec"
	"github.com/serinhq/serin/internal/fault"
)

// ListTools returns the tools that the caller was granted: those that are asked for, or all in the order of the grants.
// Names may be server_* here too.
func (s *Service) ListTools(ctx context.Context, request *toolsv1.ListToolsRequest) (*toolsv1.ListToolsResponse, error) {
	agent, granted, err := s.grants.Load().of(ctx)
	if err != nil {
		return nil, err
	}

	if len(request.GetNames()) == 0 {
		return s.listGranted(ctx, granted)
	}

	listing := newListing(granted)

	for _, name := range request.GetNames() {
		found, err := s.resolve(ctx, name)
		if err != nil {
			return nil, err
		}

		if !listing.add(found...) || len(found) == 0 {
			return nil, notAllowed(agent, name)
		}
	}

	return listing.response(), nil
}

// listGranted leaves out what there is not: /health/ready tells about that.
func (s *Service) listGranted(ctx context.Context, granted []agentspec.Tool) (*toolsv1.ListToolsResponse, error) {
	listing := newListing(granted)

	for _, grant := range granted {
		found, err := s.resolve(ctx, grant.Name)
		if isUnknown(err) {
			s.config.Telemetry.Logger.WarnContext(ctx, "granted tool does not exist", "tool", grant.Name)

			continue
		}

		if err != nil {
			return nil, err
		}

		listing.add(found...)
	}

	return listing.response(), nil
}

// resolve returns the tools that a name means.
func (s *Service) resolve(ctx context.Context, name string) ([]*tool, error) {
	if server, all := strings.CutSuffix(name, wildcard); all {
		return s.catalog.all(ctx, server)
	}

	found, err := s.catalog.find(ctx, name)
	if err != nil {
		return nil, err
	}

	return []*tool{found}, nil
}

// listing gathers tools, each once, as the caller may use them.
type listing struct {
	granted []agentspec.Tool
	seen    map[string]bool
	tools   []*toolsv1.Tool
}

func newListing(granted []agentspec.Tool) *listing {
	return &listing{granted: granted, seen: map[string]bool{}}
}

// add takes tools in; it returns false if one was not granted.
func (l *listing) add(tools ...*tool) bool {
	for _, tool := range tools {
		name := tool.about.GetName()

		allowed, approval := allows(l.granted, name)
		if !allowed {
			return false
		}

		if l.seen[name] {
			continue
		}

		l.seen[name] = true

		about, _ := proto.Clone(tool.about).(*toolsv1.Tool)
		about.NeedsApproval = about.GetNeedsApproval() || approval
		l.tools = append(l.tools, about)
	}

	return true
}

func (l *listing) response() *toolsv1.ListToolsResponse {
	return &toolsv1.ListToolsResponse{Tools: l.tools}
}

func isUnknown(err error) bool { return fault.Is(err, "TOOL_UNKNOWN") }
