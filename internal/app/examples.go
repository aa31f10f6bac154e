package app

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/serinhq/serin/deploy/local"
	"github.com/serinhq/serin/internal/agentspec"
)

// loadExamples writes the built-in example agents where the user can look at them, and loads them.
func loadExamples(dir string) (*agentspec.Set, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("write the example agents: %w", err)
	}

	entries, err := fs.ReadDir(local.Agents, "agents")
	if err != nil {
		return nil, fmt.Errorf("read the example agents: %w", err)
	}

	for _, entry := range entries {
		data, err := local.Agents.ReadFile("agents/" + entry.Name())
		if err != nil {
			return nil, fmt.Errorf("read the example agents: %w", err)
		}

		if err := writeFile(filepath.Join(dir, entry.Name()), data); err != nil {
			return nil, err
		}
	}

	return agentspec.Load(dir)
}
