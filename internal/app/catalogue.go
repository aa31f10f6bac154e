package app

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/serinhq/serin/internal/agentspec"
	"github.com/serinhq/serin/internal/drain"
)

// catalogue is what changes of the agents while processes go on: which there are, and which tools each may use. It is a
// file that processes look at from time to time, as they would at a mounted ConfigMap.
type catalogue struct {
	// Agents are declared.
	Agents []agentEntry `json:"agents"`
	// Leaving run still, but are not declared any more.
	Leaving []string `json:"leaving,omitempty"`
	// Grants are the tools by agent: the union over its live revisions.
	Grants map[string][]agentspec.Tool `json:"grants"`
	// Servers are the tool servers.
	Servers []agentspec.MCPServer `json:"servers"`
}

// agentEntry is what other processes know of an agent.
type agentEntry struct {
	Name        string            `json:"name"`
	Description string            `json:"description"`
	Entry       bool              `json:"entry"`
	Budgets     agentspec.Budgets `json:"budgets"`
}

func newAgentEntry(agent agentspec.Agent) agentEntry {
	return agentEntry{
		Name: agent.Metadata.Name, Description: agent.Spec.Description, Entry: agent.Spec.Entry, Budgets: agent.Spec.Budgets,
	}
}

// isEmpty says that nobody has told yet which agents there are.
func (c *catalogue) isEmpty() bool { return len(c.Agents)+len(c.Leaving) == 0 }

// knows reports whether there is a process to call of that name.
func (c *catalogue) knows(agent string) bool {
	return slices.Contains(c.Leaving, agent) ||
		slices.ContainsFunc(c.Agents, func(entry agentEntry) bool { return entry.Name == agent })
}

func readCatalogue(path string) (*catalogue, []byte, error) {
	data, err := os.ReadFile(path) //nolint:gosec // the supervisor names it
	if err != nil {
		return nil, nil, fmt.Errorf("read the catalogue: %w", err)
	}

	var read catalogue
	if err := json.Unmarshal(data, &read); err != nil {
		return nil, nil, fmt.Errorf("read the catalogue %s: %w", path, err)
	}

	return &read, data, nil
}

func encodeCatalogue(written catalogue) ([]byte, error) {
	data, err := json.MarshalIndent(written, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write the catalogue: %w", err)
	}

	return append(data, '\n'), nil
}

func writeCatalogue(path string, written catalogue) error {
	data, err := encodeCatalogue(written)
	if err != nil {
		return err
	}

	return writeFile(path, data)
}

// readCatalogue reads this process's catalogue. In a pod it is not there before the controller has looked for the first
// time.
func (w *workload) readCatalogue() (*catalogue, []byte, error) {
	read, data, err := readCatalogue(w.config.Catalogue)
	if errors.Is(err, os.ErrNotExist) && w.config.plane() != planeEmbedded {
		return &catalogue{}, nil, nil
	}

	return read, data, err
}

// catalogueInterval is the time between two looks at the catalogue: an edited agent's entry is known that soon.
const catalogueInterval = 200 * time.Millisecond

// followCatalogue calls take with the catalogue now, and once more with each change.
func (w *workload) followCatalogue(take func(*catalogue) error) (drain.Task, error) {
	now, data, err := w.readCatalogue()
	if err != nil {
		return drain.Task{}, err
	}

	if err := take(now); err != nil {
		return drain.Task{}, err
	}

	return drain.Task{Name: "catalogue", Run: func(ctx context.Context) error {
		ticker := time.NewTicker(catalogueInterval)
		defer ticker.Stop()

		for {
			select {
			case <-ctx.Done():
				return nil
			case <-ticker.C:
			}

			next, changed, err := w.readCatalogue()
			if err == nil && !bytes.Equal(changed, data) {
				data, err = changed, take(next)
			}

			if err != nil {
				w.telemetry.Logger.ErrorContext(ctx, "the catalogue was not taken; the one before stays", "error", err)
			}
		}
	}}, nil
}
