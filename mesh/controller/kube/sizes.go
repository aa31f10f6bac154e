package kube

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/serinhq/serin/internal/agentspec"
)

// size is how many pods a revision has.
type size struct {
	// pods is how many there shall be now: where an autoscaler decides, what it said last.
	pods int32
	// automatic says that an autoscaler decides, between least and most.
	automatic   bool
	least, most int32
}

// sizes are those of an agent's revisions, in their order. Found is how many pods the Deployments say, by name.
//
// A candidate's least is the part that its weight needs of what the stable revision has now, not of what it had at first:
// nothing but traffic makes an autoscaler act, and it gets traffic only once it has the pods for it.
func (c *Config) sizes(agent *wantedAgent, found map[string]int32) []size {
	all, whole := make([]size, len(agent.revisions)), int32(1)

	for i := range agent.revisions {
		revision := &agent.revisions[i]

		scaling := agent.scaling(revision)
		if !c.Autoscaling || scaling.MaxReplicas <= scaling.MinReplicas {
			all[i] = size{pods: agent.replicas(revision)}

			continue
		}

		all[i] = size{automatic: true, least: scaling.MinReplicas, most: scaling.MaxReplicas}
		all[i].pods = all[i].within(found[revision.objectName()])

		if revision.share == 0 {
			whole = max(whole, all[i].pods)
		}
	}

	for i := range all {
		if share := agent.revisions[i].share; all[i].automatic && share > 0 {
			all[i].least = all[i].within(part(whole, share))
			all[i].pods = all[i].within(all[i].pods)
		}
	}

	return all
}

// within is the number that an autoscaler would make of it by itself.
func (s size) within(pods int32) int32 { return min(max(pods, s.least), s.most) }

// part is a share of pods, in percent, but at least one.
func part(pods, share int32) int32 { return max((pods*share+99)/100, 1) }

// objectName is what the Deployment of a revision is called, and what goes with it.
func (r *wantedRevision) objectName() string {
	return ObjectName(r.agent.Metadata.Name, agentspec.Short(r.name))
}

// found reads how many pods Deployments say, by name.
func (w *workloads) found(ctx context.Context, options ...client.ListOption) (map[string]int32, error) {
	all := &appsv1.DeploymentList{}
	if err := w.config.Client.List(ctx, all, options...); err != nil {
		return nil, fmt.Errorf("list deployments: %w", err)
	}

	return replicasOf(all), nil
}

func replicasOf(all *appsv1.DeploymentList) map[string]int32 {
	found := map[string]int32{}

	for i := range all.Items {
		if replicas := all.Items[i].Spec.Replicas; replicas != nil {
			found[all.Items[i].Name] = *replicas
		}
	}

	return found
}
