package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"google.golang.org/grpc/codes"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/dynamic"

	rolloutv1 "github.com/serinhq/serin/gen/serin/rollout/v1"
	"github.com/serinhq/serin/internal/agentspec"
	"github.com/serinhq/serin/internal/fault"
	"github.com/serinhq/serin/mesh/api/v1alpha1"
	"github.com/serinhq/serin/mesh/controller"
)

const (
	// fieldManager owns what the command line applies.
	fieldManager = "serin-cli"
	// takenUp is how long a controller may take to begin with an Agent that was applied.
	takenUp = 30 * time.Second
)

func (c *clusterClient) agentObjects() dynamic.ResourceInterface {
	return c.objects.Resource(v1alpha1.GroupVersion.WithResource("agents")).Namespace(c.cluster.namespace)
}

// agents reads the Agents of the namespace, by name.
func (c *clusterClient) agents(ctx context.Context) ([]v1alpha1.Agent, error) {
	found, err := c.agentObjects().List(ctx, metav1.ListOptions{})

	switch {
	case apierrors.IsNotFound(err):
		return nil, fault.New(codes.NotFound, "NO_AGENTS", "%s knows no Agents: Serin is not installed there", c.cluster)
	case err != nil:
		return nil, c.refused(err, "list agents.serin.dev")
	}

	agents := make([]v1alpha1.Agent, len(found.Items))
	for i := range found.Items {
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(found.Items[i].Object, &agents[i]); err != nil {
			return nil, fault.New(codes.Internal, "BAD_ANSWER", "Agent %s of %s can't be read: %w", found.Items[i].GetName(), c.cluster, err)
		}
	}

	return agents, nil
}

// declare applies the Agent, which is all that the command line ever writes, and waits until the controller has begun with
// it. What flags say of the plan goes into the object: it is where the plan is declared.
func (c *clusterClient) declare(ctx context.Context, change *declaredChange) (*rolloutv1.Rollout, error) {
	agent := change.declared
	if space := agent.Metadata.Namespace; space != "" && space != c.cluster.namespace {
		return nil, usageErrorf("agent %s is declared in namespace %q, and -n is %q", agent.Metadata.Name, space, c.cluster.namespace)
	}

	planned(&agent, change.plan)

	if change.adopt {
		agent.Metadata.Annotations = maps.Clone(agent.Metadata.Annotations)
		if agent.Metadata.Annotations == nil {
			agent.Metadata.Annotations = map[string]string{}
		}

		agent.Metadata.Annotations[controller.AdoptAnnotation] = "true"
	}

	if err := c.apply(ctx, agent); err != nil {
		return nil, err
	}

	ctx, cancel := context.WithTimeout(ctx, takenUp)
	defer cancel()

	return c.begun(ctx, agent.Metadata.Name, agentspec.Short(agentspec.Revision(change.resolved)))
}

// planned writes what a plan says into the declaration.
func planned(agent *agentspec.Agent, plan *rolloutv1.Plan) {
	if len(plan.GetSteps()) > 0 {
		agent.Spec.Rollout.Steps = plan.GetSteps()
	}

	if plan.GetPause() != nil {
		agent.Spec.Rollout.Pause = agentspec.Duration(plan.GetPause().AsDuration())
	}

	if plan.GetAutomatic() {
		agent.Spec.Rollout.Promotion = "automatic"
	}
}

func (c *clusterClient) apply(ctx context.Context, agent agentspec.Agent) error {
	ctx, cancel := context.WithTimeout(ctx, unaryTimeout)
	defer cancel()

	object, err := objectOf(agent)
	if err != nil {
		return err
	}

	object.SetNamespace(c.cluster.namespace)

	_, err = c.agentObjects().Apply(ctx, agent.Metadata.Name, object, metav1.ApplyOptions{FieldManager: fieldManager})

	switch {
	case err == nil:
		return nil
	case apierrors.IsInvalid(err), apierrors.IsBadRequest(err):
		return usageErrorf("%s does not take agent %s: %w", c.cluster, agent.Metadata.Name, err)
	case apierrors.IsConflict(err):
		return fault.New(codes.FailedPrecondition, "MANAGED_ELSEWHERE",
			"agent %s is managed by someone else, such as a GitOps tool: change it there (%w)", agent.Metadata.Name, err)
	default:
		return c.refused(err, "patch agents.serin.dev/"+agent.Metadata.Name)
	}
}

// objectOf is the declaration as an object for the API.
func objectOf(agent agentspec.Agent) (*unstructured.Unstructured, error) {
	data, err := agentspec.MarshalResolved(agent)
	if err != nil {
		return nil, err
	}

	object := &unstructured.Unstructured{}
	if err := json.Unmarshal(data, &object.Object); err != nil {
		return nil, fmt.Errorf("agent %s: %w", agent.Metadata.Name, err)
	}

	return object, nil
}

// begun waits until a revision is the candidate, or what else can become of it.
func (c *clusterClient) begun(ctx context.Context, agent, revision string) (*rolloutv1.Rollout, error) {
	pace := newRetry(nil)

	for {
		rollout, err := c.follow(ctx, agent, revision)

		switch {
		case err == nil:
			return rollout, taken(rollout, revision)
		case ctx.Err() != nil:
			return nil, c.ignored(ctx, agent, revision)
		case !isTransient(err) && fault.CodeOf(err) != codes.NotFound: // the agent may be new
			return nil, err
		}

		if err := pace.wait(ctx, err); err != nil {
			return nil, c.ignored(ctx, agent, revision)
		}
	}
}

// follow watches an agent until it has seen a revision.
func (c *clusterClient) follow(ctx context.Context, agent, revision string) (*rolloutv1.Rollout, error) {
	stream, err := c.watch(ctx, agent)
	if err != nil {
		return nil, err
	}
	defer stream.close()

	for {
		change, err := stream.nextRollouts()
		if err != nil {
			return nil, err
		}

		for _, rollout := range change.GetRollouts() {
			if rollout.GetCandidate() == revision || rollout.GetStable() == revision || slices.Contains(rollout.GetRejected(), revision) {
				return rollout, nil
			}
		}
	}
}

// taken says why a revision is not the candidate.
func taken(rollout *rolloutv1.Rollout, revision string) error {
	agent := rollout.GetAgent()

	switch {
	case rollout.GetCandidate() == revision:
		return nil
	case rollout.GetStable() == revision:
		return fault.New(codes.FailedPrecondition, "ALREADY_STABLE", "%s of %s is stable already", revision, agent)
	default:
		return fault.New(codes.FailedPrecondition, "REVISION_REJECTED",
			"%s of %s was aborted or undone; `serin canary retry %s` tries it again", revision, agent, agent)
	}
}

func (c *clusterClient) ignored(ctx context.Context, agent, revision string) error {
	if errors.Is(context.Cause(ctx), context.Canceled) {
		return context.Canceled
	}

	return fault.New(codes.DeadlineExceeded, "NOT_TAKEN_UP",
		"Agent %s is applied, but the controller has not begun with %s after %s; what it says of it: kubectl describe agent %s -n %s",
		agent, revision, briefly(takenUp), agent, c.cluster.namespace)
}
