package kube

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	security "istio.io/client-go/pkg/apis/security/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/serinhq/serin/internal/agentspec"
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
		return errors.Join(w.deleteDeployments(ctx, name, nil), w.deleteRest(ctx, name))
	}

	owner, err := ownerOf(ctx, w.config.Client, w.config.Namespace, name)
	if err != nil {
		return err
	}

	objects := []client.Object{w.config.serviceAccount(name), w.config.service(name), w.config.access(name)}
	kept := []string{}

	var failed error

	for i := range agent.revisions {
		kept = append(kept, ObjectName(name, agentspec.Short(agent.revisions[i].name)))

		made, err := w.config.deployment(agent, &agent.revisions[i])
		if err != nil {
			failed = errors.Join(failed, err)

			continue
		}

		objects = append(objects, made)
	}

	for _, object := range objects {
		if owner != nil {
			object.SetOwnerReferences([]metav1.OwnerReference{*owner})
		}

		failed = errors.Join(failed, w.apply(ctx, object))
	}

	return errors.Join(failed, w.deleteDeployments(ctx, name, kept))
}

// apply has an object be as it shall be, as far as that is Serin's to say; fields of others stay.
func (w *workloads) apply(ctx context.Context, object client.Object) error {
	kind := object.GetObjectKind().GroupVersionKind().Kind

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

// deleteDeployments stops the revisions of an agent that shall not run.
func (w *workloads) deleteDeployments(ctx context.Context, agent string, kept []string) error {
	all := &appsv1.DeploymentList{}
	if err := w.config.Client.List(ctx, all, w.selected(agent)...); err != nil {
		return fmt.Errorf("list deployments: %w", err)
	}

	var failed error

	for i := range all.Items {
		if !slices.Contains(kept, all.Items[i].Name) {
			failed = errors.Join(failed, w.delete(ctx, &all.Items[i]))
		}
	}

	return failed
}

// deleteRest takes away what an agent has beside its revisions.
func (w *workloads) deleteRest(ctx context.Context, agent string) error {
	meta := metav1.ObjectMeta{Namespace: w.config.Namespace, Name: agent}
	access := metav1.ObjectMeta{Namespace: w.config.Namespace, Name: accessName(agent)}

	var failed error

	for _, object := range []client.Object{
		&corev1.Service{ObjectMeta: meta}, &corev1.ServiceAccount{ObjectMeta: meta}, &security.AuthorizationPolicy{ObjectMeta: access},
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
