package kube

import (
	"context"
	"encoding/json"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
)

// autoscaler follows what a revision's pods are busy with: CPU says little of agents, which wait for models. It is quick to
// grow, and slow to shrink, so that conversations are not cut off; nil where the size is fixed.
func (c *Config) autoscaler(agent string, revision *wantedRevision, pods size) *autoscalingv2.HorizontalPodAutoscaler {
	if !pods.automatic {
		return nil
	}

	name := revision.objectName()

	return &autoscalingv2.HorizontalPodAutoscaler{
		TypeMeta: metav1.TypeMeta{APIVersion: autoscalingv2.SchemeGroupVersion.String(), Kind: "HorizontalPodAutoscaler"},
		ObjectMeta: metav1.ObjectMeta{
			Namespace: c.Namespace, Name: name, Labels: revisionLabels(agent, revision.name),
		},
		Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
			ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{
				APIVersion: appsv1.SchemeGroupVersion.String(), Kind: "Deployment", Name: name,
			},
			MinReplicas: new(pods.least), MaxReplicas: pods.most,
			Metrics: []autoscalingv2.MetricSpec{perPod("active_conversations", 15), perPod("llm_request_queue_depth", 5)},
			Behavior: &autoscalingv2.HorizontalPodAutoscalerBehavior{
				ScaleUp: scalingRule(30, 4, 60), ScaleDown: scalingRule(300, 1, 120),
			},
		},
	}
}

// perPod wants so much of a metric of each pod, on average.
func perPod(metric string, average int64) autoscalingv2.MetricSpec {
	return autoscalingv2.MetricSpec{
		Type: autoscalingv2.PodsMetricSourceType,
		Pods: &autoscalingv2.PodsMetricSource{
			Metric: autoscalingv2.MetricIdentifier{Name: metric},
			Target: autoscalingv2.MetricTarget{
				Type: autoscalingv2.AverageValueMetricType, AverageValue: resource.NewQuantity(average, resource.DecimalSI),
			},
		},
	}
}

// scalingRule waits for a window, and changes so many pods in each period; both are in seconds.
func scalingRule(window, pods, period int32) *autoscalingv2.HPAScalingRules {
	return &autoscalingv2.HPAScalingRules{
		StabilizationWindowSeconds: new(window),
		Policies:                   []autoscalingv2.HPAScalingPolicy{{Type: autoscalingv2.PodsScalingPolicy, Value: pods, PeriodSeconds: period}},
	}
}

// scaledAnew lets through what changes an autoscaler: the API server counts no generations of its spec, and its status
// changes all the time.
func scaledAnew() predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		before, was := e.ObjectOld.(*autoscalingv2.HorizontalPodAutoscaler)
		after, is := e.ObjectNew.(*autoscalingv2.HorizontalPodAutoscaler)

		return !was || !is || !apiequality.Semantic.DeepEqual(before.Spec, after.Spec)
	}}
}

// sizeOwner is who says how many pods a Deployment has after Serin has ceased to, until the autoscaler says it.
const sizeOwner = fieldOwner + "-size"

// release leaves the number of pods to the autoscaler. A Deployment that is new begins with what is wanted of it; in one
// that is there the number stays as it is, whoever wrote it. It needs an owner for that: what a manager no longer applies,
// and nobody else owns, falls back to one pod.
func (w *workloads) release(ctx context.Context, wanted *appsv1.Deployment) error {
	err := retry.RetryOnConflict(retry.DefaultRetry, func() error {
		found := &appsv1.Deployment{} // as it is now: an old one may have another owner of its size
		if err := w.config.Reader.Get(ctx, client.ObjectKeyFromObject(wanted), found); err != nil {
			return err //nolint:wrapcheck // wrapped below
		}

		if found.Spec.Replicas == nil || !saysReplicas(found.ManagedFields) {
			return nil
		}

		selector, err := runtime.DefaultUnstructuredConverter.ToUnstructured(found.Spec.Selector) // none is whole without it
		if err != nil {
			return err //nolint:wrapcheck // wrapped below
		}

		kept := &unstructured.Unstructured{Object: map[string]any{
			"spec": map[string]any{"replicas": int64(*found.Spec.Replicas), "selector": selector},
		}}
		kept.SetGroupVersionKind(wanted.GroupVersionKind())
		kept.SetNamespace(found.Namespace)
		kept.SetName(found.Name)
		kept.SetResourceVersion(found.ResourceVersion) // the autoscaler may be faster

		return w.config.Client.Apply(ctx, client.ApplyConfigurationFromUnstructured(kept), client.FieldOwner(sizeOwner))
	})

	switch {
	case apierrors.IsNotFound(err):
		return nil
	case err != nil:
		return fmt.Errorf("leave the size of Deployment %s to its autoscaler: %w", wanted.Name, err)
	default:
		wanted.Spec.Replicas = nil

		return nil
	}
}

// saysReplicas reports whether Serin itself says how many pods there are.
func saysReplicas(managed []metav1.ManagedFieldsEntry) bool {
	for _, entry := range managed {
		if entry.Manager != fieldOwner || entry.Operation != metav1.ManagedFieldsOperationApply || entry.FieldsV1 == nil {
			continue
		}

		owned := struct {
			Spec struct {
				Replicas json.RawMessage `json:"f:replicas"`
			} `json:"f:spec"`
		}{}
		if err := json.Unmarshal(entry.FieldsV1.GetRawBytes(), &owned); err != nil || owned.Spec.Replicas != nil {
			return true // what can't be read is better kept
		}
	}

	return false
}
