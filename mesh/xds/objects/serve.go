package objects

import (
	"net/http"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func (s *Store) serveGet(r *request) error {
	object := s.get(r.kind, r.key)
	if object == nil {
		return target{kind: r.kind, key: r.key}.missing()
	}

	return r.object(http.StatusOK, object)
}

// serveCollection lists or watches.
func (s *Store) serveCollection(r *request) error {
	selection, err := r.selection()
	if err != nil {
		return err
	}

	if watching := r.query.Get("watch"); watching == "true" || watching == "1" {
		return s.serveWatch(r, selection)
	}

	version, objects := s.list(r.kind, selection)
	if err := r.checkListVersion(version); err != nil {
		return err
	}

	return r.list(version, objects)
}

// list returns the selected objects of a kind, sorted, as they are at a version.
func (s *Store) list(k *kind, selection selection) (uint64, []*object) {
	s.mu.Lock()
	version, all := s.state.version, s.state.list(k.name)
	s.mu.Unlock()

	var selected []*object

	for _, object := range all {
		if selection.has(object.key, object.typed.GetLabels()) {
			selected = append(selected, object)
		}
	}

	return version, selected
}

func (s *Store) serveCreate(r *request) error {
	document, err := r.document()
	if err != nil {
		return err
	}

	d, warnings, err := r.decoder().decode(document)
	if err != nil {
		return err
	}

	t, err := r.target()
	if err != nil {
		return err
	}

	object, err := s.create(t, d)
	if err != nil {
		return err
	}

	r.warn(warnings)

	return r.object(http.StatusCreated, object)
}

func (s *Store) serveUpdate(r *request) error {
	document, err := r.document()
	if err != nil {
		return err
	}

	d, warnings, err := r.decoder().decode(document)
	if err != nil {
		return err
	}

	return s.answerUpdate(r, func(*object) (draft, error) {
		r.warn(warnings)

		return d, nil
	})
}

func (s *Store) servePatch(r *request) error {
	form, patch, err := r.patch()
	if err != nil {
		return err
	}

	return s.answerUpdate(r, func(before *object) (draft, error) {
		document, err := applyPatch(form, encode(r.kind, r.version, before.body), patch)
		if err != nil {
			return draft{}, err
		}

		d, warnings, err := r.decoder().decode(document)
		r.warn(warnings)

		return d, err
	})
}

func (s *Store) answerUpdate(r *request, change func(*object) (draft, error)) error {
	t, err := r.target()
	if err != nil {
		return err
	}

	object, err := s.update(t, change)
	if err != nil {
		return err
	}

	return r.object(http.StatusOK, object)
}

func (s *Store) serveDelete(r *request) error {
	t, options, err := r.deletion()
	if err != nil {
		return err
	}

	last, gone, err := s.remove(t, options.Preconditions)
	if err != nil {
		return err
	}

	if !gone {
		return r.object(http.StatusOK, last)
	}

	writeJSON(r.w, http.StatusOK, metav1.Status{
		TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: metav1.StatusSuccess,
		Details: &metav1.StatusDetails{Name: r.key.name, Group: r.kind.group, Kind: r.kind.plural, UID: last.typed.GetUID()},
	})

	return nil
}

// serveDeleteAll deletes what is selected, one by one.
func (s *Store) serveDeleteAll(r *request) error {
	selection, err := r.selection()
	if err != nil {
		return err
	}

	t, options, err := r.deletion()
	if err != nil {
		return err
	}

	version, objects := s.list(r.kind, selection)

	for _, object := range objects {
		t.key = object.key
		if _, _, err := s.remove(t, options.Preconditions); err != nil && !apierrors.IsNotFound(err) {
			return err
		}
	}

	return r.list(version, objects)
}

// deletion reads what a deletion asks for.
func (r *request) deletion() (target, metav1.DeleteOptions, error) {
	var options metav1.DeleteOptions

	body, err := r.body()
	if err != nil {
		return target{}, options, err
	}

	if len(body) > 0 {
		if err := unmarshal(body, &options); err != nil {
			return target{}, options, apierrors.NewBadRequest("the options of the deletion cannot be read: " + err.Error())
		}
	}

	t, err := r.target()
	t.dry = t.dry || len(options.DryRun) > 0

	return t, options, err
}
