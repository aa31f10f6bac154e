package kube

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"google.golang.org/grpc/codes"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/serinhq/serin/internal/agentspec"
	"github.com/serinhq/serin/internal/fault"
	"github.com/serinhq/serin/mesh/api/v1alpha1"
	"github.com/serinhq/serin/mesh/controller"
	"github.com/serinhq/serin/mesh/istio"
)

// RevisionKey is the key of a revision's ConfigMap that has the resolved agent: what its process loads.
const RevisionKey = "agent.json"

// PutRevision keeps a revision in a ConfigMap that nobody can change. The same again changes nothing, also where it was
// declared with another size: that is no part of a revision. Errors: FAILED_PRECONDITION (REVISION_TAKEN).
func (s *Store) PutRevision(ctx context.Context, revision controller.Revision) error {
	wanted, err := s.revisionMap(revision)
	if err != nil {
		return err
	}

	found := &corev1.ConfigMap{}

	switch err := s.config.Client.Get(ctx, client.ObjectKeyFromObject(wanted), found); {
	case apierrors.IsNotFound(err):
	case err != nil:
		return fmt.Errorf("read ConfigMap %s: %w", wanted.Name, err)
	case found.Data[RevisionKey] == wanted.Data[RevisionKey]:
		return nil
	}

	if err := s.own(ctx, revision.Agent, wanted); err != nil {
		return err
	}

	err = s.config.Client.Create(ctx, wanted, client.FieldOwner(fieldOwner))
	if !apierrors.IsAlreadyExists(err) {
		if err != nil {
			return fmt.Errorf("write ConfigMap %s: %w", wanted.Name, err)
		}

		return nil
	}

	_, err = s.GetRevision(ctx, revision.Agent, revision.Name)
	if fault.Is(err, "REVISION_UNKNOWN") {
		err = fault.New(codes.FailedPrecondition, "REVISION_TAKEN",
			"ConfigMap %s is there, and holds something else than revision %s; delete it", wanted.Name, revision.Name)
	}

	return err
}

func (s *Store) revisionMap(revision controller.Revision) (*corev1.ConfigMap, error) {
	data, err := s.config.Pods.Files(revision.Agent, revision.Name)
	if err != nil {
		return nil, fmt.Errorf("revision %s of %s: %w", agentspec.Short(revision.Name), revision.Agent, err)
	}

	labels := revisionLabels(revision.Agent, revision.Name)
	labels[kindLabel] = kindRevision
	immutable := true
	made := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: s.config.Namespace, Name: ObjectName(revision.Agent, agentspec.Short(revision.Name)), Labels: labels,
		},
		Immutable: &immutable,
		Data:      map[string]string{RevisionKey: revision.Declaration},
	}
	maps.Copy(made.Data, data)

	return made, nil
}

// own has an object go with the Agent, if there is one.
func (s *Store) own(ctx context.Context, name string, object client.Object) error {
	owner, err := ownerOf(ctx, s.config.Client, s.config.Namespace, name)
	if err == nil && owner != nil {
		object.SetOwnerReferences([]metav1.OwnerReference{*owner})
	}

	return err
}

// ownerOf refers to an Agent; nil if there is none.
func ownerOf(ctx context.Context, from client.Reader, namespace, name string) (*metav1.OwnerReference, error) {
	agent := &v1alpha1.Agent{}

	switch err := from.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, agent); {
	case apierrors.IsNotFound(err):
		return nil, nil //nolint:nilnil // there is none
	case err != nil:
		return nil, fmt.Errorf("read agent %s: %w", name, err)
	default:
		return metav1.NewControllerRef(agent, v1alpha1.GroupVersion.WithKind(agentspec.KindAgent)), nil
	}
}

// GetRevision returns a revision by its short or full name. Errors: NOT_FOUND (REVISION_UNKNOWN).
func (s *Store) GetRevision(ctx context.Context, agent, name string) (controller.Revision, error) {
	found := &corev1.ConfigMap{}
	key := client.ObjectKey{Namespace: s.config.Namespace, Name: ObjectName(agent, agentspec.Short(name))}

	err := s.config.Client.Get(ctx, key, found)
	if apierrors.IsNotFound(err) { // the cache may be behind
		err = s.config.Reader.Get(ctx, key, found)
	}

	switch {
	case apierrors.IsNotFound(err), err == nil && found.Labels[kindLabel] != kindRevision:
		return controller.Revision{}, controller.NoRevision(agent, name)
	case err != nil:
		return controller.Revision{}, fmt.Errorf("read ConfigMap %s: %w", key.Name, err)
	}

	declared, err := parse(found.Data[RevisionKey])
	if err != nil {
		return controller.Revision{}, fmt.Errorf("ConfigMap %s: %w", key.Name, err)
	}

	full := agentspec.Revision(declared)
	if full != name && agentspec.Short(full) != name {
		return controller.Revision{}, controller.NoRevision(agent, name)
	}

	return controller.Revision{Agent: agent, Name: full, Declaration: found.Data[RevisionKey]}, nil
}

// prune deletes revisions that nothing names any more.
func (s *Store) prune(ctx context.Context, after *document) {
	all := &corev1.ConfigMapList{}

	err := s.config.Client.List(ctx, all, client.InNamespace(s.config.Namespace), client.MatchingLabels{
		AgentLabel: after.Record.Agent, kindLabel: kindRevision, managedLabel: manager,
	})

	names := after.names()

	for i := range all.Items {
		one := &all.Items[i]
		if err != nil || slices.Contains(names, one.Labels[istio.RevisionLabel]) {
			continue
		}

		if err = s.config.Client.Delete(ctx, one); apierrors.IsNotFound(err) {
			err = nil
		}
	}

	if err != nil { // the next one deletes them
		s.config.Logger.WarnContext(ctx, "revisions that nothing names stay", "agent", after.Record.Agent, "error", err)
	}
}
