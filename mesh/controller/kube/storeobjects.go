package kube

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/semaphore"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/serinhq/serin/mesh/api/v1alpha1"
)

var errNotHeld = errors.New("the finalizer is missing")

// conflicts are how often, and after what waits, an Agent is read and written again that others have written meanwhile.
func conflicts() wait.Backoff {
	return wait.Backoff{Steps: 8, Duration: 10 * time.Millisecond, Factor: 1.5, Jitter: 0.1}
}

// edit reads an Agent and writes what of it shall be changed, as often as others come between. The parts of this process take
// turns, so that what is published of a decision never makes the next one wait.
func (s *Store) edit(ctx context.Context, name, what string, write func(*v1alpha1.Agent) error) error {
	turns := s.turnsAt(name)
	if err := turns.Acquire(ctx, 1); err != nil {
		return fmt.Errorf("agent %s: %s: %w", name, what, err)
	}
	defer turns.Release(1)

	err := retry.RetryOnConflict(conflicts(), func() error {
		agent := &v1alpha1.Agent{}
		if err := s.config.Reader.Get(ctx, client.ObjectKey{Namespace: s.config.Namespace, Name: name}, agent); err != nil {
			return err //nolint:wrapcheck // wrapped below
		}

		return write(agent)
	})
	if err != nil {
		return fmt.Errorf("agent %s: %s: %w", name, what, err)
	}

	return nil
}

// turnsAt are the turns at writing one Agent.
func (s *Store) turnsAt(name string) *semaphore.Weighted {
	s.mu.Lock()
	defer s.mu.Unlock()

	if s.turns[name] == nil {
		s.turns[name] = semaphore.NewWeighted(1)
	}

	return s.turns[name]
}

// editStatus changes an Agent's status. It returns the Agent as it is then.
func (s *Store) editStatus(
	ctx context.Context, name string, edit func(*v1alpha1.Agent) error,
) (written *v1alpha1.Agent, err error) {
	err = s.edit(ctx, name, "status", func(agent *v1alpha1.Agent) error {
		if err := edit(agent); err != nil {
			return err
		}

		written = agent

		return s.config.Client.Status().Update(ctx, agent, client.FieldOwner(fieldOwner))
	})
	if err != nil {
		return nil, err
	}

	return written, nil
}

func (s *Store) writeStatus(ctx context.Context, known, after *document, data []byte) (*v1alpha1.Agent, error) {
	write := func() (*v1alpha1.Agent, error) {
		return s.editStatus(ctx, after.Record.Agent, func(agent *v1alpha1.Agent) error { return after.put(agent, known, data) })
	}

	object, err := write()
	if errors.Is(err, errNotHeld) {
		if err := s.hold(ctx, after.Record.Agent); err != nil {
			return nil, err
		}

		return write()
	}

	return object, err
}

// put writes the document into an Agent.
func (d *document) put(agent *v1alpha1.Agent, known *document, data []byte) error {
	if agent.DeletionTimestamp.IsZero() && !controllerutil.ContainsFinalizer(agent, Finalizer) {
		return errNotHeld
	}

	var there []byte
	if agent.Status.Record != nil {
		there = agent.Status.Record.Raw
	}

	if err := mayWrite(there, known, d); err != nil {
		return err
	}

	agent.Status.Record = &runtime.RawExtension{Raw: data}
	agent.Status.Phase, agent.Status.Attempt = string(d.Record.State.Phase), d.Record.State.Attempt

	return nil
}

// hold puts the finalizer on an Agent: what it has is taken away in order once it is deleted.
func (s *Store) hold(ctx context.Context, name string) error {
	return s.editFinalizer(ctx, name, func(agent *v1alpha1.Agent) bool {
		return agent.DeletionTimestamp.IsZero() && controllerutil.AddFinalizer(agent, Finalizer)
	})
}

// release lets an Agent go.
func (s *Store) release(ctx context.Context, name string) error {
	err := s.editFinalizer(ctx, name, func(agent *v1alpha1.Agent) bool {
		return !agent.DeletionTimestamp.IsZero() && controllerutil.RemoveFinalizer(agent, Finalizer)
	})
	if apierrors.IsNotFound(err) {
		return nil
	}

	return err
}

func (s *Store) editFinalizer(ctx context.Context, name string, edit func(*v1alpha1.Agent) bool) error {
	return s.edit(ctx, name, "finalizer", func(agent *v1alpha1.Agent) error {
		before := agent.DeepCopy()
		if !edit(agent) {
			return nil
		}

		return s.config.Client.Patch(ctx, agent,
			client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}), client.FieldOwner(fieldOwner))
	})
}

// records returns the ConfigMap of what belongs to no Agent; an empty one if there is none.
func (s *Store) records(ctx context.Context) (*corev1.ConfigMap, error) {
	kept := &corev1.ConfigMap{}

	err := s.config.Reader.Get(ctx, client.ObjectKey{Namespace: s.config.Namespace, Name: recordsMap}, kept)
	if err != nil && !apierrors.IsNotFound(err) {
		return nil, fmt.Errorf("read ConfigMap %s: %w", recordsMap, err)
	}

	if kept.Data == nil {
		kept.Data = map[string]string{}
	}

	return kept, nil
}

// editKept changes that ConfigMap.
func (s *Store) editKept(ctx context.Context, edit func(*corev1.ConfigMap) error) error {
	err := retry.OnError(retry.DefaultBackoff, func(err error) bool {
		return apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err)
	}, func() error {
		kept, err := s.records(ctx)
		if err != nil {
			return err
		}

		if err := edit(kept); err != nil {
			return err
		}

		if kept.ResourceVersion == "" {
			kept.ObjectMeta = metav1.ObjectMeta{
				Namespace: s.config.Namespace, Name: recordsMap, Labels: map[string]string{managedLabel: manager},
			}

			return s.config.Client.Create(ctx, kept, client.FieldOwner(fieldOwner))
		}

		return s.config.Client.Update(ctx, kept, client.FieldOwner(fieldOwner))
	})
	if err != nil {
		return fmt.Errorf("write ConfigMap %s: %w", recordsMap, err)
	}

	return nil
}

func (s *Store) writeKept(ctx context.Context, known, after *document, data []byte) error {
	key := recordPrefix + after.Record.Agent
	after.homeless = true

	return s.editKept(ctx, func(kept *corev1.ConfigMap) error {
		if err := mayWrite([]byte(kept.Data[key]), known, after); err != nil {
			return err
		}

		kept.Data[key] = string(data)

		return nil
	})
}

// forgetKept removes what was kept of an agent while it had no object.
func (s *Store) forgetKept(ctx context.Context, agent string) error {
	return s.editKept(ctx, func(kept *corev1.ConfigMap) error {
		delete(kept.Data, recordPrefix+agent)

		return nil
	})
}
