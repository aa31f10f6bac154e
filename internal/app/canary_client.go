package app

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	rolloutv1 "github.com/serinhq/serin/gen/serin/rollout/v1"
	"github.com/serinhq/serin/internal/agentspec"
	"github.com/serinhq/serin/internal/fault"
	"github.com/serinhq/serin/mesh/controller"
)

// rolloutsPath is what rollouts are below.
const rolloutsPath = "rollouts"

// rollouts returns the rollouts of all agents, or of one.
func (c *client) rollouts(ctx context.Context, agent string) (*rolloutv1.ListRolloutsResponse, error) {
	if agent == "" {
		answer := &rolloutv1.ListRolloutsResponse{}

		return answer, c.call(ctx, http.MethodGet, []string{rolloutsPath}, nil, nil, answer)
	}

	answer := &rolloutv1.GetRolloutResponse{}
	if err := c.call(ctx, http.MethodGet, []string{rolloutsPath, agent}, nil, nil, answer); err != nil {
		return nil, err
	}

	return &rolloutv1.ListRolloutsResponse{Rollouts: []*rolloutv1.Rollout{answer.GetRollout()}}, nil
}

// steer gives a command about an agent's rollout, and returns the rollout after it.
func (c *client) steer(ctx context.Context, agent, verb string, in proto.Message) (*rolloutv1.Rollout, error) {
	answer := &rolloutv1.GetRolloutResponse{} // every answer has the rollout in the same place
	err := c.call(ctx, http.MethodPost, []string{rolloutsPath, agent + ":" + verb}, nil, in, answer)

	return answer.GetRollout(), err
}

func (c *client) history(ctx context.Context, agent string, size int, page string) (*rolloutv1.ListHistoryResponse, error) {
	answer := &rolloutv1.ListHistoryResponse{}
	query := url.Values{"pageSize": {strconv.Itoa(size)}}

	if page != "" {
		query.Set("pageToken", page)
	}

	return answer, c.call(ctx, http.MethodGet, []string{rolloutsPath, agent, "history"}, query, nil, answer)
}

// revision returns the content of a revision: by name, or stable, or candidate.
func (c *client) revision(ctx context.Context, agent, name string) (*rolloutv1.GetRevisionResponse, error) {
	answer := &rolloutv1.GetRevisionResponse{}

	return answer, c.call(ctx, http.MethodGet, []string{rolloutsPath, agent, "revisions", name}, nil, nil, answer)
}

// watch streams the rollouts of all agents, or of one, and what changes.
func (c *client) watch(ctx context.Context, agent string) (rolloutStream, error) {
	path := []string{rolloutsPath}
	if agent != "" {
		path = append(path, agent)
	}

	stream, err := c.open(ctx, func(ctx context.Context) (*http.Request, error) {
		return c.request(ctx, http.MethodGet, path, nil, nil)
	})
	if err != nil {
		return nil, err
	}

	return stream, nil
}

// declare sends the declaration to the controller, which keeps it.
func (c *client) declare(ctx context.Context, change *declaredChange) (*rolloutv1.Rollout, error) {
	if change.adopt {
		return nil, usageErrorf("--adopt: it is for a cluster's objects; the folder that serin up watches says it by the annotation %s: \"true\"",
			controller.AdoptAnnotation)
	}

	declaration, err := agentspec.MarshalResolved(change.resolved)
	if err != nil {
		return nil, err
	}

	return c.steer(ctx, change.resolved.Metadata.Name, "start",
		&rolloutv1.StartRolloutRequest{Declaration: string(declaration), Plan: change.plan})
}

// nextRollouts returns what changed. The errors are those of next.
func (s *eventStream) nextRollouts() (*rolloutv1.WatchRolloutsResponse, error) {
	raw, err := s.events.next()
	if err != nil {
		return nil, errCut
	}

	if raw.Name == "error" {
		return nil, fault.FromHTTP(http.StatusInternalServerError, []byte(raw.Data))
	}

	change := &rolloutv1.WatchRolloutsResponse{}
	if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal([]byte(raw.Data), change); err != nil {
		return nil, fault.New(codes.Internal, "BAD_ANSWER", "a change of the stream can't be read: %w", err)
	}

	return change, nil
}
