package kube

import (
	"context"
	"errors"
	"fmt"
	"time"

	security "istio.io/client-go/pkg/apis/security/v1"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// Reconcile makes one agent's objects as they shall be.
func (w *workloads) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	agent, runs, known := w.of(request.Name)
	if !known { // nobody has said what shall run: what does, stays
		return reconcile.Result{}, nil
	}

	err := w.reconcile(ctx, request.Name, &agent, runs)
	w.trouble(request.Name, words(err))

	if err != nil {
		return reconcile.Result{}, err
	}

	return reconcile.Result{RequeueAfter: lookAgain}, nil
}

// lookAgain is how often objects that are as they shall be are looked at.
const lookAgain = 5 * time.Minute

func words(err error) string {
	if err == nil {
		return ""
	}

	return err.Error()
}

func (w *workloads) reconcile(ctx context.Context, name string, agent *wantedAgent, runs bool) error {
	if !runs {
		return errors.Join(w.deleteUnwanted(ctx, name, nil), w.deleteRest(ctx, name))
	}

	owner, err := ownerOf(ctx, w.config.Client, w.config.Namespace, name)
	if err != nil {
		return err
	}

	found, err := w.found(ctx, w.selected(name)...)
	if err != nil {
		return err
	}

	objects := []client.Object{w.config.serviceAccount(name), w.config.service(name), w.config.access(name)}
	if w.config.Network != nil {
		objects = append(objects, w.config.isolation(name, agent))
	}

	kept := map[string]bool{}
	sizes := w.config.sizes(agent, found)

	var failed error

	for i := range agent.revisions {
		revision := &agent.revisions[i]
		kept["Deployment "+revision.objectName()] = true // also one that can't be made anew

		made, err := w.config.deployment(agent, revision, sizes[i].pods)
		if err == nil && sizes[i].automatic {
			err = w.release(ctx, made)
		}

		if err != nil {
			failed = errors.Join(failed, err)
		} else {
			objects = append(objects, made)
		}

		if made := w.config.disruptions(name, revision, sizes[i].pods); made != nil {
			objects = append(objects, made)
		}

		if made := w.config.autoscaler(name, revision, sizes[i]); made != nil {
			objects = append(objects, made)
		}
	}

	for _, object := range objects {
		if owner != nil {
			object.SetOwnerReferences([]metav1.OwnerReference{*owner})
		}

		kept[kindOf(object)+" "+object.GetName()] = true
		failed = errors.Join(failed, w.apply(ctx, object))
	}

	return errors.Join(failed, w.deleteUnwanted(ctx, name, kept))
}

func kindOf(object client.Object) string { return object.GetObjectKind().GroupVersionKind().Kind }

// apply has an object be as it shall be, as far as that is Serin's to say; fields of others stay.
func (w *workloads) apply(ctx context.Context, object client.Object) error {
	kind := kindOf(object)

	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
	if err != nil {
		return fmt.Errorf("%s %s: %w", kind, object.GetName(), err)
	}

	delete(content, "status")

	err = w.config.Client.Apply(ctx, client.ApplyConfigurationFromUnstructured(&unstructured.Unstructured{Object: content}),
		client.FieldOwner(fieldOwner), client.ForceOwnership)
	if err != nil {
		return fmt.Errorf("%s %s: %w", kind, object.GetName(), err)
	}

	return nil
}

// deleteUnwanted takes away what an agent has for revisions that shall not run, and what those that do no longer need.
// Kept are kinds and names.
func (w *workloads) deleteUnwanted(ctx context.Context, agent string, kept map[string]bool) error {
	var failed error

	for kind, list := range map[string]client.ObjectList{
		"Deployment": &appsv1.DeploymentList{}, "PodDisruptionBudget": &policyv1.PodDisruptionBudgetList{},
		"HorizontalPodAutoscaler": &autoscalingv2.HorizontalPodAutoscalerList{}, "NetworkPolicy": &networkingv1.NetworkPolicyList{},
	} {
		if err := w.config.Client.List(ctx, list, w.selected(agent)...); err != nil {
			failed = errors.Join(failed, fmt.Errorf("list each %s: %w", kind, err))

			continue
		}

		failed = errors.Join(failed, meta.EachListItem(list, func(one runtime.Object) error {
			object, ok := one.(client.Object)
			if !ok || kept[kind+" "+object.GetName()] {
				return nil
			}

			return w.delete(ctx, object)
		}))
	}

	return failed
}

// deleteRest takes away what an agent has beside its revisions.
func (w *workloads) deleteRest(ctx context.Context, agent string) error {
	named := metav1.ObjectMeta{Namespace: w.config.Namespace, Name: agent}
	access := metav1.ObjectMeta{Namespace: w.config.Namespace, Name: accessName(agent)}

	var failed error

	for _, object := range []client.Object{
		&corev1.Service{ObjectMeta: named}, &corev1.ServiceAccount{ObjectMeta: named}, &security.AuthorizationPolicy{ObjectMeta: access},
	} {
		err := w.config.Client.Get(ctx, client.ObjectKeyFromObject(object), object)

		switch {
		case apierrors.IsNotFound(err):
		case err != nil:
			failed = errors.Join(failed, err)
		case object.GetLabels()[managedLabel] == manager:
			failed = errors.Join(failed, w.delete(ctx, object))
		}
	}

	return failed
}

func (w *workloads) delete(ctx context.Context, object client.Object) error {
	err := w.config.Client.Delete(ctx, object, client.PropagationPolicy(metav1.DeletePropagationBackground))
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("delete %s: %w", object.GetName(), err)
	}

	return nil
}

// selected selects what belongs to an agent.
func (w *workloads) selected(agent string) []client.ListOption {
	return []client.ListOption{
		client.InNamespace(w.config.Namespace), client.MatchingLabels{AgentLabel: agent, managedLabel: manager},
	}
}
