package objects

import (
	"errors"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// target is what a write is about.
type target struct {
	kind *kind
	key  key
	// status says that only the status is written.
	status bool
	// dry says that nothing is written: the answer is what would be.
	dry bool
}

func (t target) missing() error { return apierrors.NewNotFound(t.kind.groupResource(), t.key.name) }

// create writes a new object.
func (s *Store) create(t target, d draft) (*object, error) {
	d, err := prepareCreate(t.kind, t.key.namespace, d, s.config.Now())
	if err != nil {
		return nil, err
	}

	s.writing.Lock()
	defer s.writing.Unlock()

	if s.get(t.kind, key{t.key.namespace, d.Meta.Name}) != nil {
		return nil, apierrors.NewAlreadyExists(t.kind.groupResource(), d.Meta.Name)
	}

	after, err := s.accept(t, d)
	if err != nil || t.dry {
		return after, err
	}

	return after, s.commit(put(nil, after), after, true)
}

// update writes what change makes of an object as it is.
func (s *Store) update(t target, change func(before *object) (draft, error)) (*object, error) {
	s.writing.Lock()
	defer s.writing.Unlock()

	before := s.get(t.kind, t.key)
	if before == nil {
		return nil, t.missing()
	}

	wanted, err := change(before)
	if err != nil {
		return nil, err
	}

	old, err := before.draft()
	if err != nil {
		return nil, err
	}

	next, outcome, err := prepareUpdate(t.kind, old, wanted, t.status)
	if err != nil || outcome == unchanged {
		return before, err
	}

	after, err := s.accept(t, next)
	if err != nil || t.dry {
		return after, err
	}

	if outcome == finalized {
		return after, s.commit(removed(after), nil, true)
	}

	return after, s.commit(put(before, after), after, outcome == changed)
}

// remove deletes an object, or marks it as being deleted if finalizers hold it; gone says which.
func (s *Store) remove(t target, preconditions *metav1.Preconditions) (last *object, gone bool, err error) {
	s.writing.Lock()
	defer s.writing.Unlock()

	before := s.get(t.kind, t.key)
	if before == nil {
		return nil, false, t.missing()
	}

	old, err := before.draft()
	if err != nil {
		return nil, false, err
	}

	if err := checkPreconditions(t.kind, &old.Meta, preconditions); err != nil {
		return nil, false, err
	}

	next, gone := prepareDelete(old, s.config.Now())
	if !gone && equality.Semantic.DeepEqual(old.Meta, next.Meta) {
		return before, false, nil
	}

	after, err := seal(t.kind, next, s.next())
	if err != nil || t.dry {
		return after, gone, err
	}

	if gone {
		return after, true, s.commit(removed(after), nil, true)
	}

	return after, false, s.commit(put(before, after), after, true)
}

// accept makes a draft the next version of its object, if it is valid.
func (s *Store) accept(t target, d draft) (*object, error) {
	after, err := seal(t.kind, d, s.next())
	if err != nil || t.status {
		return after, err
	}

	if err := s.config.Validate(after.typed); err != nil {
		return nil, invalid(t.kind, d.Meta.Name, err)
	}

	return after, nil
}

// invalid is the answer to an object that was judged invalid.
func invalid(k *kind, name string, err error) error {
	if status := apierrors.APIStatus(nil); errors.As(err, &status) {
		return err
	}

	var flaws field.ErrorList

	for _, one := range flatten(err) {
		flaw, ok := errors.AsType[*field.Error](one)
		if !ok {
			flaw = field.Invalid(field.NewPath("spec"), field.OmitValueType{}, one.Error())
		}

		flaws = append(flaws, flaw)
	}

	return apierrors.NewInvalid(k.groupKind(), name, flaws)
}

func flatten(err error) []error {
	if aggregate, ok := errors.AsType[utilerrors.Aggregate](err); ok {
		return utilerrors.Flatten(aggregate).Errors()
	}

	return []error{err}
}
