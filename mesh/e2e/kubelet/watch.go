package kubelet

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"
)

// retryEvery is the time between two tries to reach the API server.
const retryEvery = 200 * time.Millisecond

func (k *Kubelet) podHandler() cache.ResourceEventHandler {
	return cache.ResourceEventHandlerFuncs{
		AddFunc:    func(object any) { k.see(object) },
		UpdateFunc: func(_, object any) { k.see(object) },
		DeleteFunc: func(object any) { k.seeGone(object) },
	}
}

// see takes a Pod as the API server has it.
func (k *Kubelet) see(object any) {
	seen, ok := object.(*corev1.Pod)
	if !ok {
		return
	}

	switch {
	case seen.Spec.NodeName == "" && seen.DeletionTimestamp == nil && len(seen.Spec.SchedulingGates) == 0:
		k.tasks.Go(func() { k.bind(seen) })
	case seen.Spec.NodeName == k.options.NodeName:
		k.take(seen)
	}
}

// take begins to run a Pod, or tells the one that runs what has changed.
func (k *Kubelet) take(seen *corev1.Pod) {
	k.mu.Lock()
	defer k.mu.Unlock()

	if running := k.pods[seen.UID]; running != nil {
		running.update(seen)

		return
	}

	if k.ctx.Err() != nil || ended(seen) && seen.DeletionTimestamp == nil {
		return
	}

	begun := newPod(k, seen)
	k.pods[seen.UID] = begun

	k.tasks.Go(func() {
		begun.run()

		k.mu.Lock()
		delete(k.pods, seen.UID)
		k.mu.Unlock()
	})
}

// seeGone ends a Pod that was deleted without waiting for its node.
func (k *Kubelet) seeGone(object any) {
	if tombstone, ok := object.(cache.DeletedFinalStateUnknown); ok {
		object = tombstone.Obj
	}

	gone, ok := object.(*corev1.Pod)
	if !ok {
		return
	}

	k.mu.Lock()
	defer k.mu.Unlock()

	if running := k.pods[gone.UID]; running != nil {
		running.terminate(time.Second) // the least that a kubelet gives
	}
}

// bind plays the scheduler: there is one node.
func (k *Kubelet) bind(pod *corev1.Pod) {
	binding := &corev1.Binding{
		ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID},
		Target:     corev1.ObjectReference{Kind: "Node", Name: k.options.NodeName},
	}

	k.retry(k.ctx, func(ctx context.Context) error {
		return k.client.CoreV1().Pods(pod.Namespace).Bind(ctx, binding, metav1.CreateOptions{})
	})
}

// retry tries until the API server has said something that another try does not change, or the context ends.
func (k *Kubelet) retry(ctx context.Context, try func(context.Context) error) {
	for {
		err := try(ctx)
		if err == nil || apierrors.IsNotFound(err) || apierrors.IsConflict(err) || apierrors.IsInvalid(err) || apierrors.IsForbidden(err) {
			return
		}

		select {
		case <-ctx.Done():
			return
		case <-time.After(retryEvery):
		}
	}
}

// sourceHandler has the volumes that are made of a ConfigMap or Secret made anew when it changes.
func (k *Kubelet) sourceHandler() cache.ResourceEventHandler {
	changed := func(object any) {
		if source, ok := object.(metav1.Object); ok {
			k.refresh(source.GetNamespace())
		}
	}

	return cache.ResourceEventHandlerFuncs{
		AddFunc:    changed,
		UpdateFunc: func(_, object any) { changed(object) },
		DeleteFunc: changed,
	}
}

// refresh asks the namespace's Pods to look at their volumes' sources.
func (k *Kubelet) refresh(namespace string) {
	k.mu.Lock()
	defer k.mu.Unlock()

	for _, pod := range k.pods {
		if pod.namespace == namespace {
			pod.refreshVolumes()
		}
	}
}

func ended(pod *corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
}
