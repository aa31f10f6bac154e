package kubelet

import (
	"context"
	"encoding/json"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// report writes the Pod's status whenever it has changed, until the context ends.
func (p *pod) report(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.dirty:
			p.reportOnce(ctx)
		}
	}
}

// reportOnce writes the status as it is at the time that the API server is there.
func (p *pod) reportOnce(ctx context.Context) {
	p.k.retry(ctx, func(ctx context.Context) error {
		patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"uid": p.uid}, "status": p.status()})
		if err != nil {
			return err
		}

		_, err = p.k.client.CoreV1().Pods(p.namespace).Patch(
			ctx, p.name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status")

		return err
	})
}

// status is the Pod's status now.
func (p *pod) status() corev1.PodStatus {
	p.mu.Lock()
	defer p.mu.Unlock()

	status := corev1.PodStatus{
		ObservedGeneration: p.object().Generation, StartTime: &p.began, HostIP: p.k.options.NodeIP,
		HostIPs: []corev1.HostIP{{IP: p.k.options.NodeIP}}, Phase: p.phase(),
	}

	if p.sandbox != nil {
		status.PodIP, status.PodIPs = p.sandbox.ip, []corev1.PodIP{{IP: p.sandbox.ip}}
	}

	for _, container := range p.inits {
		status.InitContainerStatuses = append(status.InitContainerStatuses, container.status)
	}

	for _, container := range p.mains {
		status.ContainerStatuses = append(status.ContainerStatuses, container.status)
	}

	status.Conditions = p.currentConditions(status.Phase)

	return status
}

// phase sums the containers up. The lock is held.
func (p *pod) phase() corev1.PodPhase {
	policy := p.object().Spec.RestartPolicy

	for _, init := range p.inits {
		if init.role == roleSidecar {
			continue
		}

		switch end := init.status.State.Terminated; {
		case end == nil || end.ExitCode != 0 && policy != corev1.RestartPolicyNever:
			return corev1.PodPending
		case end.ExitCode != 0:
			return corev1.PodFailed
		}
	}

	if p.waitsForStart() {
		return corev1.PodPending
	}

	failed := false

	for _, main := range p.mains {
		end := main.status.State.Terminated
		if end == nil || !main.over {
			return corev1.PodRunning
		}

		failed = failed || end.ExitCode != 0
	}

	if failed {
		return corev1.PodFailed
	}

	return corev1.PodSucceeded
}

// waitsForStart reports whether a container has never been started.
func (p *pod) waitsForStart() bool {
	for _, main := range p.mains {
		if main.status.State.Waiting != nil && main.status.LastTerminationState.Terminated == nil {
			return true
		}
	}

	return false
}

// currentConditions keeps the time of what has not changed. The lock is held.
func (p *pod) currentConditions(phase corev1.PodPhase) []corev1.PodCondition {
	completed := phase == corev1.PodSucceeded || phase == corev1.PodFailed
	unready := p.unready()

	containers := judge(len(unready) == 0 && phase == corev1.PodRunning, completed, "ContainersNotReady", unready)
	ready := containers

	if gate := p.closedGate(); gate != "" && ready.Status == corev1.ConditionTrue {
		ready = corev1.PodCondition{
			Status: corev1.ConditionFalse, Reason: "ReadinessGatesNotReady", Message: "the readiness gate " + gate + " is not True",
		}
	}

	if p.soft.Err() != nil && p.sandbox == nil {
		ready.Status, containers.Status = corev1.ConditionFalse, corev1.ConditionFalse
	}

	return []corev1.PodCondition{
		p.condition(corev1.PodScheduled, corev1.PodCondition{Status: corev1.ConditionTrue}),
		p.condition(corev1.PodReadyToStartContainers, judge(p.sandbox != nil, false, "", nil)),
		p.condition(corev1.PodInitialized, judge(p.initialized(), false, "ContainersNotInitialized", nil)),
		p.condition(corev1.ContainersReady, containers),
		p.condition(corev1.PodReady, ready),
	}
}

func judge(holds, completed bool, reason string, who []string) corev1.PodCondition {
	switch {
	case holds && !completed:
		return corev1.PodCondition{Status: corev1.ConditionTrue}
	case completed:
		return corev1.PodCondition{Status: corev1.ConditionFalse, Reason: "PodCompleted"}
	default:
		condition := corev1.PodCondition{Status: corev1.ConditionFalse, Reason: reason}
		if len(who) > 0 {
			condition.Message = "containers with unready status: " + join(who)
		}

		return condition
	}
}

func (p *pod) condition(kind corev1.PodConditionType, now corev1.PodCondition) corev1.PodCondition {
	before, known := p.conditions[kind]
	now.Type, now.LastTransitionTime, now.ObservedGeneration = kind, metav1.Now(), p.object().Generation

	if known && before.Status == now.Status {
		now.LastTransitionTime = before.LastTransitionTime
	}

	p.conditions[kind] = now

	return now
}

// initialized reports whether every init container has done its work, and every sidecar runs.
func (p *pod) initialized() bool {
	for _, init := range p.inits {
		if init.role == roleSidecar && !init.started() || init.role == roleInit && !init.succeeded() {
			return false
		}
	}

	return true
}

func (p *pod) unready() []string {
	var names []string

	for _, container := range append(append([]*container{}, p.inits...), p.mains...) {
		if container.role != roleInit && !container.status.Ready {
			names = append(names, container.spec.Name)
		}
	}

	return names
}

// closedGate is a readiness gate whose condition, which others write, is not True.
func (p *pod) closedGate() string {
	object := p.object()

	for _, gate := range object.Spec.ReadinessGates {
		open := false

		for _, condition := range object.Status.Conditions {
			open = open || condition.Type == gate.ConditionType && condition.Status == corev1.ConditionTrue
		}

		if !open {
			return string(gate.ConditionType)
		}
	}

	return ""
}
