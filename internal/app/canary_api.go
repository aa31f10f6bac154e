package app

import (
	"context"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/proto"

	rolloutv1 "github.com/serinhq/serin/gen/serin/rollout/v1"
	"github.com/serinhq/serin/internal/agentspec"
)

// rolloutAPI is what the canary commands need of whoever steers rollouts: a gateway ([client]) or the controller of a
// cluster ([clusterClient]). Errors are faults.
type rolloutAPI interface {
	// rollouts returns the rollouts of all agents, or of one.
	rollouts(ctx context.Context, agent string) (*rolloutv1.ListRolloutsResponse, error)
	// steer gives a command about an agent's rollout, and returns the rollout after it. The verb is as in REST, and the
	// request does not name the agent.
	steer(ctx context.Context, agent, verb string, in proto.Message) (*rolloutv1.Rollout, error)
	// history returns a page of an agent's history, newest first.
	history(ctx context.Context, agent string, size int, page string) (*rolloutv1.ListHistoryResponse, error)
	// revision returns the content of a revision: by name, or stable, or candidate.
	revision(ctx context.Context, agent, name string) (*rolloutv1.GetRevisionResponse, error)
	// watch streams the rollouts of all agents, or of one, and what changes.
	watch(ctx context.Context, agent string) (rolloutStream, error)
	// declare has a changed agent rolled out, and returns the rollout once it has begun.
	declare(ctx context.Context, change *declaredChange) (*rolloutv1.Rollout, error)
}

// rolloutStream is a stream of changes. Close it. The error is errCut when there is no more to come from this stream, or
// a fault.
type rolloutStream interface {
	nextRollouts() (*rolloutv1.WatchRolloutsResponse, error)
	close()
}

// declaredChange is an agent as a file has it.
type declaredChange struct {
	// declared is the file's own words; resolved says also when to hand off, as the other agents do, and has the revision.
	declared, resolved agentspec.Agent
	// plan is what flags say of it.
	plan *rolloutv1.Plan
	// adopt says that the agent shall be driven by objects that someone else wrote.
	adopt bool
}

// allHistory returns the newest entries of an agent's history, as many as the limit says.
func allHistory(ctx context.Context, api rolloutAPI, agent string, limit int) (*rolloutv1.ListHistoryResponse, error) {
	all := &rolloutv1.ListHistoryResponse{}

	for len(all.GetEntries()) < limit {
		found, err := api.history(ctx, agent, min(pageSize, limit-len(all.GetEntries())), all.GetNextPageToken())
		if err != nil {
			return nil, err
		}

		all.Entries = append(all.Entries, found.GetEntries()...)

		if all.NextPageToken = found.GetNextPageToken(); found.GetNextPageToken() == "" {
			break
		}
	}

	return all, nil
}

// withRollouts runs something with whoever steers the rollouts that are meant.
func withRollouts(command *cobra.Command, flags *targetFlags, env *Env, run func(rolloutAPI) error) error {
	found, err := flags.find(command.Flags().Changed, env)
	if err != nil {
		return err
	}

	if found.cluster == nil {
		c := newClient(found.gateway)
		defer c.close()

		return run(c)
	}

	if err := found.tell(env); err != nil {
		return err
	}

	c, err := newClusterClient(found.cluster)
	if err != nil {
		return err
	}
	defer c.close()

	return run(c)
}
