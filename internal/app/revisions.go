package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"google.golang.org/grpc/codes"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	"github.com/serinhq/serin/internal/agentspec"
	"github.com/serinhq/serin/internal/fault"
	"github.com/serinhq/serin/internal/rpc"
	"github.com/serinhq/serin/mesh/identity"
)

// storeRevision keeps the resolved agent under its digest; the agent's process loads it from there.
func (p *Platform) storeRevision(agent agentspec.Agent, revision string) (string, error) {
	dir := p.data.join("revisions", agent.Metadata.Name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("store revision: %w", err)
	}

	data, err := agentspec.MarshalResolved(agent)
	if err != nil {
		return "", fmt.Errorf("store revision of %s: %w", agent.Metadata.Name, err)
	}

	path := p.data.join("revisions", agent.Metadata.Name, agentspec.Short(revision)+".json")

	return path, writeFile(path, data)
}

// runningRevisions remembers, across starts, which revision each agent ran.
type runningRevisions struct {
	Format int                        `json:"format"`
	Agents map[string]runningRevision `json:"agents"`
}

type runningRevision struct {
	Revision string `json:"revision"`
	// Attempt counts the changes.
	Attempt int64 `json:"attempt"`
}

// retireRevisions tells the store which revisions are gone since the last start, so that their conversations go on with
// the agent's revision of today.
func (p *Platform) retireRevisions(ctx context.Context) error {
	path := p.data.join("revisions", "running.json")

	known, err := readRunningRevisions(path)
	if err != nil {
		return err
	}

	store, closeStore, err := p.contextClient(ctx)
	if err != nil {
		return err
	}
	defer closeStore()

	for _, workload := range p.workloads {
		if workload.config.Room != "agent" {
			continue
		}

		agent, before := workload.config.Name, known.Agents[workload.config.Name]
		if before.Revision == workload.revision {
			continue
		}

		// The attempt is taken before it is used: after a crash in between, the next start uses another one, and what
		// it says then holds.
		known.Agents[agent] = runningRevision{Revision: before.Revision, Attempt: before.Attempt + 1}
		if err := writeRunningRevisions(path, known); err != nil {
			return err
		}

		if before.Revision != "" {
			if err := withdraw(ctx, store, &contextv1.WithdrawRequest{
				Agent: agent, Revision: before.Revision, Replacement: workload.revision,
				Attempt: before.Attempt + 1, Cause: "retired",
			}); err != nil {
				return err
			}
		}

		known.Agents[agent] = runningRevision{Revision: workload.revision, Attempt: before.Attempt + 1}
		if err := writeRunningRevisions(path, known); err != nil {
			return err
		}
	}

	return nil
}

// withdraw tries until it succeeds, the context ends, or the store refuses for good.
func withdraw(ctx context.Context, store contextv1.ContextServiceClient, request *contextv1.WithdrawRequest) error {
	for {
		_, err := store.Withdraw(ctx, request)
		if err == nil {
			return nil
		}

		if code := fault.CodeOf(err); ctx.Err() != nil || code != codes.Unavailable && code != codes.DeadlineExceeded {
			return fmt.Errorf("retire revision %s of %s: %w", request.GetRevision(), request.GetAgent(), err)
		}

		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
		}
	}
}

func writeRunningRevisions(path string, known runningRevisions) error {
	data, err := json.MarshalIndent(known, "", "  ")
	if err != nil {
		return fmt.Errorf("remember revisions: %w", err)
	}

	return writeFile(path, data)
}

func readRunningRevisions(path string) (runningRevisions, error) {
	known := runningRevisions{Format: 1, Agents: map[string]runningRevision{}}

	data, err := os.ReadFile(path) //nolint:gosec // within the data directory
	if errors.Is(err, os.ErrNotExist) {
		return known, nil
	}

	if err == nil {
		err = json.Unmarshal(data, &known)
	}

	if err != nil {
		return known, fmt.Errorf("read %s: %w", path, err)
	}

	return known, nil
}

// contextClient speaks to the store as the supervisor.
func (p *Platform) contextClient(ctx context.Context) (contextv1.ContextServiceClient, func(), error) {
	source, err := identity.Watch(ctx, p.data.join("certs", rpc.Supervisor))
	if err != nil {
		return nil, nil, fmt.Errorf("read the supervisor's certificate: %w", err)
	}

	conn, err := rpc.Dial(p.workloads[0].address,
		rpc.Identity{TrustDomain: rpc.DefaultTrustDomain, Namespace: namespace, Name: rpc.Context},
		rpc.ClientConfig{Credentials: rpc.Credentials{SVID: source, Bundle: source}})
	if err != nil {
		return nil, nil, fmt.Errorf("dial the store: %w", err)
	}

	return contextv1.NewContextServiceClient(conn), func() { _ = conn.Close() }, nil
}
