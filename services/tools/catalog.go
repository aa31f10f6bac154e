package tools

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/serinhq/serin/internal/agentspec"
)

// catalog finds tools by the names that models use.
type catalog struct {
	builtins map[string]*tool
	servers  map[string]source
	// wait is how long a request waits for a server that has not answered yet.
	wait time.Duration
}

// source is a server that has tools.
type source interface {
	// run keeps the server until the context ends.
	run(ctx context.Context)
	// listed returns the tools by model name, as soon as they are known. The error is TOOL_SERVER_DOWN.
	listed(ctx context.Context) (map[string]*tool, error)
	// up returns nil while tools can be called, as far as is known.
	up() error
	// offers reports whether a granted name means one of the tools.
	offers(grant string) bool
}

// newSource makes the source of a declaration.
func newSource(spec agentspec.MCPServer, config Config) source {
	if len(spec.Spec.HTTP) > 0 || spec.Spec.OpenAPI != nil {
		return newAPI(spec, config)
	}

	return newServer(spec, config)
}

func newCatalog(config Config) (*catalog, error) {
	builtins, err := newBuiltins(config.Now)
	if err != nil {
		return nil, err
	}

	made := &catalog{builtins: builtins, servers: map[string]source{}, wait: config.ServerWait}
	for _, spec := range config.Servers {
		made.servers[spec.Metadata.Name] = newSource(spec, config)
	}

	return made, nil
}

// start runs all servers; the channel is closed when all have ended.
func (c *catalog) start(ctx context.Context) <-chan struct{} {
	var running sync.WaitGroup
	for _, server := range c.servers {
		running.Go(func() { server.run(ctx) })
	}

	ended := make(chan struct{})

	go func() {
		running.Wait()
		close(ended)
	}()

	return ended
}

// find returns a tool. It waits for a server that has never answered yet. Errors: TOOL_UNKNOWN, TOOL_SERVER_DOWN.
func (c *catalog) find(ctx context.Context, name string) (*tool, error) {
	if builtin, ok := c.builtins[name]; ok {
		return builtin, nil
	}

	server, ok := c.servers[serverOf(name)]
	if !ok {
		return nil, unknownTool(name)
	}

	tools, err := c.listed(ctx, server)
	if err != nil {
		return nil, err
	}

	found, ok := tools[name]
	if !ok {
		return nil, unknownTool(name)
	}

	return found, nil
}

// all returns a server's tools, sorted by name; none if there is no such server.
func (c *catalog) all(ctx context.Context, name string) ([]*tool, error) {
	server, ok := c.servers[name]
	if !ok {
		return nil, nil
	}

	tools, err := c.listed(ctx, server)
	if err != nil {
		return nil, err
	}

	sorted := make([]*tool, 0, len(tools))
	for _, tool := range tools {
		sorted = append(sorted, tool)
	}

	slices.SortFunc(sorted, func(a, b *tool) int { return cmp.Compare(a.about.GetName(), b.about.GetName()) })

	return sorted, nil
}

func (c *catalog) listed(ctx context.Context, server source) (map[string]*tool, error) {
	ctx, cancel := context.WithTimeout(ctx, c.wait)
	defer cancel()

	return server.listed(ctx)
}

// ready returns what is missing: servers that are down, and granted tools that no server has.
func (c *catalog) ready(granted grants) error {
	var missing []error

	for _, server := range c.servers {
		if err := server.up(); err != nil {
			missing = append(missing, err)
		}
	}

	if len(missing) == 0 { // else most tools would only be missing because of that
		missing = c.missingTools(granted)
	}

	slices.SortFunc(missing, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })

	return errors.Join(missing...)
}

func (c *catalog) missingTools(granted grants) []error {
	var missing []error

	for agent, tools := range granted {
		for _, grant := range tools {
			if !c.has(grant.Name) {
				missing = append(missing, fmt.Errorf("agent %s: there is no tool named %q", agent, grant.Name))
			}
		}
	}

	return missing
}

// has reports whether a granted name means at least one tool that is known now.
func (c *catalog) has(grant string) bool {
	if _, ok := c.builtins[grant]; ok {
		return true
	}

	server, ok := c.servers[serverOf(grant)]

	return ok && server.offers(grant)
}
