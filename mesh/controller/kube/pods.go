package kube

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"google.golang.org/protobuf/types/known/timestamppb"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	workloadv1 "github.com/serinhq/serin/gen/serin/workload/v1"
	"github.com/serinhq/serin/internal/agentspec"
	"github.com/serinhq/serin/mesh/istio"
)

// look says how all pods of agents are, and how many there shall be.
func (w *workloads) look(ctx context.Context) (*workloadv1.WatchResponse, error) {
	pods := &corev1.PodList{}
	if err := w.config.Client.List(ctx, pods, client.InNamespace(w.config.Namespace), client.MatchingLabels{managedLabel: manager}); err != nil {
		return nil, err //nolint:wrapcheck // the caller says what it was for
	}

	answer := &workloadv1.WatchResponse{}

	for i := range pods.Items {
		if status := statusOf(&pods.Items[i]); status != nil {
			answer.Statuses = append(answer.Statuses, status)
		}
	}

	all := &appsv1.DeploymentList{}
	if err := w.config.Client.List(ctx, all, client.InNamespace(w.config.Namespace), client.MatchingLabels{managedLabel: manager}); err != nil {
		return nil, err //nolint:wrapcheck // the caller says what it was for
	}

	addRefused(all, answer)
	w.addSizes(replicasOf(all), answer)
	slices.SortStableFunc(answer.GetStatuses(), func(a, b *workloadv1.Status) int {
		return cmp.Or(cmp.Compare(a.GetAgent(), b.GetAgent()), cmp.Compare(a.GetRevision(), b.GetRevision()),
			a.GetSince().AsTime().Compare(b.GetSince().AsTime()))
	})

	return answer, nil
}

// addRefused says of revisions whose pods the API server refuses why: a quota, or a policy.
func addRefused(all *appsv1.DeploymentList, answer *workloadv1.WatchResponse) {
	for i := range all.Items {
		for _, condition := range all.Items[i].Status.Conditions {
			if condition.Type == appsv1.DeploymentReplicaFailure && condition.Status == corev1.ConditionTrue {
				answer.Statuses = append(answer.Statuses, &workloadv1.Status{
					Agent: all.Items[i].Labels[AgentLabel], Revision: all.Items[i].Labels[istio.RevisionLabel],
					Since: timestamppb.New(condition.LastTransitionTime.Time), Problem: refused + condition.Message,
				})
			}
		}
	}
}

// refused begins what is said of pods that can't be made.
const refused = "its pods are refused: "

// addSizes adds how many pods there shall be, and says of revisions that could not be run why.
func (w *workloads) addSizes(found map[string]int32, answer *workloadv1.WatchResponse) {
	w.mu.Lock()
	defer w.mu.Unlock()

	if w.wanted == nil {
		return
	}

	for _, name := range w.wanted.order {
		agent := w.wanted.agents[name]
		sizes := w.config.sizes(&agent, found)

		for i := range agent.revisions {
			short := agentspec.Short(agent.revisions[i].name)
			answer.Sizes = append(answer.Sizes, &workloadv1.Size{
				Agent: name, Revision: short, Processes: sizes[i].pods,
			})

			if problem := w.problems[name]; problem != "" {
				answer.Statuses = append(answer.Statuses, &workloadv1.Status{Agent: name, Revision: short, Problem: problem})
			}
		}
	}
}

// statusOf says how a pod is; nil if it is no agent's, or goes.
func statusOf(pod *corev1.Pod) *workloadv1.Status {
	agent, revision := pod.Labels[AgentLabel], pod.Labels[istio.RevisionLabel]
	if agent == "" || revision == "" || !pod.DeletionTimestamp.IsZero() || pod.Status.Phase == corev1.PodFailed {
		return nil
	}

	status := &workloadv1.Status{Agent: agent, Revision: revision, Since: timestamppb.New(pod.CreationTimestamp.Time)}

	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.PodReady {
			status.Ready = condition.Status == corev1.ConditionTrue
			status.Since = timestamppb.New(condition.LastTransitionTime.Time)
		}
	}

	for _, container := range pod.Status.ContainerStatuses {
		status.Restarts += container.RestartCount
	}

	if !status.GetReady() {
		status.Problem = pod.Name + ": " + problemOf(pod)
	}

	return status
}

// problemOf says what keeps a pod from being ready: the first thing that went wrong, in the order in which a pod starts.
func problemOf(pod *corev1.Pod) string {
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.PodScheduled && condition.Status == corev1.ConditionFalse {
			return "no node takes it: " + condition.Message
		}
	}

	for _, container := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
		if problem := problemOfContainer(&container); problem != "" {
			return problem
		}
	}

	return "it is starting"
}

func problemOfContainer(container *corev1.ContainerStatus) string {
	last := container.LastTerminationState.Terminated

	switch waiting := container.State.Waiting; {
	case waiting != nil && waiting.Reason != "PodInitializing" && waiting.Reason != "ContainerCreating":
		return fmt.Sprintf("container %s: %s: %s%s", container.Name, waiting.Reason, waiting.Message, ended(last))
	case container.State.Terminated != nil && container.State.Terminated.ExitCode != 0:
		return "container " + container.Name + ended(container.State.Terminated)
	case container.State.Running != nil && !container.Ready:
		return fmt.Sprintf("container %s runs and is not ready%s", container.Name, ended(last))
	default:
		return ""
	}
}

// ended says how a container ended last.
func ended(state *corev1.ContainerStateTerminated) string {
	if state == nil {
		return ""
	}

	text := fmt.Sprintf(" (ended with %d", state.ExitCode)
	if state.Message != "" {
		text += ": " + state.Message
	}

	return text + ")"
}
