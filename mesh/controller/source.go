package controller

import (
	"cmp"
	"context"
	"slices"

	"github.com/serinhq/serin/internal/agentspec"
)

// Source declares agents. One goroutine calls it.
type Source interface {
	// Read returns everything that is declared now, or nil if that is what the last Read returned. An error says that
	// nothing of it can be taken: all stays as it is.
	Read(ctx context.Context) (*Declarations, error)
	// Forget has the next Read return what it returned last.
	Forget()
}

// Declarations is everything that is declared.
type Declarations struct {
	// Agents are those that are valid, resolved.
	Agents  []agentspec.Agent
	Servers []agentspec.MCPServer
	// Invalid are the agents whose declarations can't be taken, with what is wrong: they stay as they are.
	Invalid map[string]agentspec.Problems
	// Place says where an agent is declared, in words.
	Place func(agent string) string
}

func (d *Declarations) problems() agentspec.Problems {
	all := agentspec.Problems{}
	for _, problems := range d.Invalid {
		all = append(all, problems...)
	}

	slices.SortFunc(all, func(a, b agentspec.Problem) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Field, b.Field), cmp.Compare(a.Message, b.Message))
	})

	return all
}

// nothing never says anything: agents stay as they are.
type nothing struct{}

// Read has no news.
func (nothing) Read(context.Context) (*Declarations, error) { return nil, nil } //nolint:nilnil // no news

// Forget changes nothing.
func (nothing) Forget() {}

func sourceOf(config *Config) Source {
	switch {
	case config.Source != nil:
		return config.Source
	case config.Agents != "":
		return &files{path: config.Agents}
	default:
		return nothing{}
	}
}
