package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/serinhq/serin/internal/agentspec"
	"github.com/serinhq/serin/mesh/canary"
	"github.com/serinhq/serin/mesh/controller"
)

// predecessor is what versions without rollouts kept in revisions/running.json: which revision of each agent ran, and
// the last attempt that the store may have been told of. A new revision took the place of the one before at once.
type predecessor struct {
	Agents map[string]struct {
		Revision string `json:"revision"`
		Attempt  int64  `json:"attempt"`
	} `json:"agents"`
}

func readPredecessor(dir string) (*predecessor, error) {
	var read predecessor

	data, err := os.ReadFile(filepath.Join(dir, "running.json")) //nolint:gosec // the supervisor names the directory
	if errors.Is(err, os.ErrNotExist) {
		return &read, nil
	}

	if err == nil {
		err = json.Unmarshal(data, &read)
	}

	if err != nil {
		return nil, fmt.Errorf("read what ran before: %w", err)
	}

	return &read, nil
}

// succeed has the controller go on with what ran under a version without rollouts. Agents that it knows stay as they
// are.
func succeed(ctx context.Context, store controller.Store, dir string) error {
	before, err := readPredecessor(dir)
	if err != nil || len(before.Agents) == 0 {
		return err
	}

	known, err := store.Load(ctx)
	if err != nil {
		return err
	}

	for _, agent := range slices.Sorted(maps.Keys(before.Agents)) {
		ran := before.Agents[agent]
		if ran.Revision == "" || slices.ContainsFunc(known, func(record controller.Record) bool { return record.Agent == agent }) {
			continue
		}

		if err := takeOver(ctx, store, filepath.Join(dir, agent), controller.Record{Agent: agent, State: canary.State{
			Agent: agent, Phase: canary.Idle, Step: -1, Stable: ran.Revision, Declared: ran.Revision,
			Attempt: ran.Attempt, Reason: ran.Revision + " ran already",
		}}); err != nil {
			return err
		}
	}

	return nil
}

// takeOver keeps an agent's first record: what ran is stable, so that another declaration starts a rollout. What can't
// be read any more can't run: its conversations go on with what is declared.
func takeOver(ctx context.Context, store controller.Store, dir string, record controller.Record) error {
	stable := record.State.Stable
	record.State.Withdrawn = withdrawnBefore(dir, record.State)

	if spec, err := agentspec.LoadResolved(filepath.Join(dir, stable+".json"), stable); err != nil {
		record.Gone, record.Orphans = true, []string{stable}
		record.State.Stable, record.State.Declared, record.State.Reason = "", "", ""
	} else {
		resolved, err := agentspec.MarshalResolved(spec)
		if err != nil {
			return fmt.Errorf("what ran of %s: %w", record.Agent, err)
		}

		record.Declaration, record.Declared = string(resolved), stable

		if err := store.PutRevision(ctx, controller.Revision{
			Agent: record.Agent, Name: agentspec.Revision(spec), Declaration: record.Declaration,
		}); err != nil {
			return err
		}
	}

	return store.Save(ctx, record)
}

// withdrawnBefore are the revisions that ran earlier: the store holds them for withdrawn until they are reinstated.
func withdrawnBefore(dir string, state canary.State) map[string]int64 {
	withdrawn := map[string]int64{}
	files, _ := filepath.Glob(filepath.Join(dir, "*.json")) // the pattern is right, and nothing else fails

	for _, file := range files {
		if short := strings.TrimSuffix(filepath.Base(file), ".json"); short != state.Stable {
			withdrawn[short] = state.Attempt
		}
	}

	return withdrawn
}
