package loadtest

import (
	"context"
	"net/http"
	"net/url"

	"google.golang.org/protobuf/proto"

	rolloutv1 "github.com/serinhq/serin/gen/serin/rollout/v1"
)

// Rollout returns an agent's rollout.
func (c *Client) Rollout(ctx context.Context, agent string) (*rolloutv1.Rollout, error) {
	answer := &rolloutv1.GetRolloutResponse{}
	err := c.call(ctx, http.MethodGet, "rollouts/"+url.PathEscape(agent), nil, answer)

	return answer.GetRollout(), err
}

// Declaration returns the resolved declaration of a revision as JSON; the revision may be stable or candidate.
func (c *Client) Declaration(ctx context.Context, agent, revision string) (string, error) {
	answer := &rolloutv1.GetRevisionResponse{}
	err := c.call(ctx, http.MethodGet, "rollouts/"+url.PathEscape(agent)+"/revisions/"+url.PathEscape(revision), nil, answer)

	return answer.GetDeclaration(), err
}

// Start makes a declaration the candidate.
func (c *Client) Start(ctx context.Context, agent, declaration string, plan *rolloutv1.Plan) (*rolloutv1.Rollout, error) {
	answer := &rolloutv1.StartRolloutResponse{}
	err := c.steer(ctx, agent, "start", &rolloutv1.StartRolloutRequest{Declaration: declaration, Plan: plan}, answer)

	return answer.GetRollout(), err
}

// Promote goes on to the next step, or makes the candidate stable.
func (c *Client) Promote(ctx context.Context, agent string, full bool) (*rolloutv1.Rollout, error) {
	answer := &rolloutv1.PromoteRolloutResponse{}
	err := c.steer(ctx, agent, "promote", &rolloutv1.PromoteRolloutRequest{Full: full}, answer)

	return answer.GetRollout(), err
}

// Abort gives everything back to the stable revision.
func (c *Client) Abort(ctx context.Context, agent string, fence bool, reason string) (*rolloutv1.Rollout, error) {
	answer := &rolloutv1.AbortRolloutResponse{}
	err := c.steer(ctx, agent, "abort", &rolloutv1.AbortRolloutRequest{Fence: fence, Reason: reason}, answer)

	return answer.GetRollout(), err
}

// Undo takes a promotion back.
func (c *Client) Undo(ctx context.Context, agent string) (*rolloutv1.Rollout, error) {
	answer := &rolloutv1.UndoRolloutResponse{}
	err := c.steer(ctx, agent, "undo", &rolloutv1.UndoRolloutRequest{}, answer)

	return answer.GetRollout(), err
}

// Retry starts a rejected revision again.
func (c *Client) Retry(ctx context.Context, agent string) (*rolloutv1.Rollout, error) {
	answer := &rolloutv1.RetryRolloutResponse{}
	err := c.steer(ctx, agent, "retry", &rolloutv1.RetryRolloutRequest{}, answer)

	return answer.GetRollout(), err
}

// steer does something to a rollout. The agent is in the path.
func (c *Client) steer(ctx context.Context, agent, verb string, in, out proto.Message) error {
	return c.call(ctx, http.MethodPost, "rollouts/"+url.PathEscape(agent)+":"+verb, in, out)
}
