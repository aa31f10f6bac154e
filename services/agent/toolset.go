package agent

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc/codes"

	toolsv1 "github.com/serinhq/serin/gen/serin/tools/v1"
	"github.com/serinhq/serin/internal/agentspec"
	"github.com/serinhq/serin/internal/fault"
)

// toolset is the agent's tools as a model is told of them.
type toolset struct {
	tools []tool
	// bytes is their size in a prompt.
	bytes int
}

type tool struct {
	name string
	// spec is the name in the agent's file that brought it.
	spec        string
	description string
	schema      map[string]any
	// approval says that a human must approve each call.
	approval bool
}

func (t toolset) find(name string) (tool, bool) {
	for _, tool := range t.tools {
		if tool.name == name {
			return tool, true
		}
	}

	return tool{}, false
}

// newToolset picks the tools that an agent's file names, in the order of the file.
func newToolset(specs []agentspec.Tool, listed []*toolsv1.Tool) toolset {
	var set toolset

	for _, spec := range specs {
		for _, offered := range listed {
			if _, twice := set.find(offered.GetName()); !covers(spec.Name, offered) || twice {
				continue
			}

			set.bytes += len(offered.GetName()) + len(offered.GetDescription()) + len(offered.GetInputSchema())
			set.tools = append(set.tools, tool{
				name: offered.GetName(), spec: spec.Name, description: offered.GetDescription(), schema: parseSchema(offered.GetInputSchema()),
				approval: offered.GetNeedsApproval() || spec.Approval == "always",
			})
		}
	}

	return set
}

// covers reports whether a name of an agent's file, which may be server_*, means the tool.
func covers(name string, offered *toolsv1.Tool) bool {
	if server, all := strings.CutSuffix(name, "_*"); all {
		return offered.GetServer() == server
	}

	return name == offered.GetName()
}

func parseSchema(text string) map[string]any {
	var schema map[string]any
	if json.Unmarshal([]byte(text), &schema) != nil || schema == nil {
		return map[string]any{"type": "object"}
	}

	return schema
}

// toolCache asks for the agent's tools now and then.
type toolCache struct {
	client toolsv1.ToolExecuteServiceClient
	specs  []agentspec.Tool
	ttl    time.Duration

	mu    sync.Mutex
	set   toolset
	until time.Time
}

func newToolCache(client toolsv1.ToolExecuteServiceClient, specs []agentspec.Tool, ttl time.Duration) *toolCache {
	return &toolCache{client: client, specs: specs, ttl: ttl}
}

// get returns the tools; old ones if new ones can't be had.
func (c *toolCache) get(ctx context.Context) (toolset, error) {
	if len(c.specs) == 0 {
		return toolset{}, nil
	}

	c.mu.Lock()
	set, until := c.set, c.until
	c.mu.Unlock()

	if time.Now().Before(until) {
		return set, nil
	}

	listed, err := c.client.ListTools(ctx, &toolsv1.ListToolsRequest{Names: c.names()})
	if err != nil {
		if len(set.tools) > 0 {
			return set, nil
		}

		return toolset{}, err
	}

	set = newToolset(c.specs, listed.GetTools())

	c.mu.Lock()
	defer c.mu.Unlock()

	c.set, c.until = set, time.Now().Add(c.ttl)

	return set, nil
}

// names asks for exactly the agent's tools; where the file names whole servers, for all that the agent may use.
func (c *toolCache) names() []string {
	if slices.ContainsFunc(c.specs, func(spec agentspec.Tool) bool { return strings.HasSuffix(spec.Name, "_*") }) {
		return nil
	}

	names := make([]string, len(c.specs))
	for i, spec := range c.specs {
		names[i] = spec.Name
	}

	return names
}

// CheckTools fails, naming what is missing, unless every tool that the agent's file names can be had.
func (s *Service) CheckTools(ctx context.Context) error {
	set, err := s.tools.get(ctx)
	if err != nil {
		return err
	}

	for _, spec := range s.tools.specs {
		if !set.has(spec.Name) {
			return fault.New(codes.Unavailable, "TOOL_MISSING", "spec.tools: there is no tool %q now", spec.Name)
		}
	}

	return nil
}

// has reports whether there is a tool by a name of an agent's file.
func (t toolset) has(name string) bool {
	return slices.ContainsFunc(t.tools, func(tool tool) bool { return tool.spec == name || tool.name == name })
}

// expire makes the next get ask anew.
func (c *toolCache) expire() {
	c.mu.Lock()
	defer c.mu.Unlock()

	c.until = time.Time{}
}
