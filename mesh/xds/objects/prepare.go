package objects

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/rand"
	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// prepareCreate gives a new object what the API server owns.
func prepareCreate(k *kind, namespace string, d draft, now time.Time) (draft, error) {
	meta := &d.Meta

	if meta.ResourceVersion != "" {
		return d, apierrors.NewBadRequest("resourceVersion should not be set on objects to be created")
	}

	if meta.Namespace != "" && meta.Namespace != namespace {
		return d, apierrors.NewBadRequest(fmt.Sprintf(
			"the namespace of the provided object (%s) does not match the namespace sent on the request (%s)", meta.Namespace, namespace))
	}

	if meta.Name == "" && meta.GenerateName != "" {
		meta.Name = meta.GenerateName + rand.String(5)
	}

	own(meta, &metav1.ObjectMeta{
		Namespace: namespace, UID: uuid.NewUUID(), Generation: 1, CreationTimestamp: metav1.NewTime(now.UTC().Truncate(time.Second)),
	})

	d.Status = nil

	return d, checkMeta(k, meta)
}

// own sets the fields that clients do not decide.
func own(meta, server *metav1.ObjectMeta) {
	meta.Namespace, meta.UID, meta.Generation = server.Namespace, server.UID, server.Generation
	meta.CreationTimestamp, meta.DeletionTimestamp = server.CreationTimestamp, server.DeletionTimestamp
	meta.DeletionGracePeriodSeconds, meta.ManagedFields = server.DeletionGracePeriodSeconds, nil
	meta.ResourceVersion = server.ResourceVersion
}

// checkMeta refuses names, labels and annotations that Kubernetes would.
func checkMeta(k *kind, meta *metav1.ObjectMeta) error {
	flaws := validation.ValidateObjectMeta(meta, true, validation.NameIsDNSSubdomain, field.NewPath("metadata"))

	for _, flaw := range validation.ValidateNamespaceName(meta.Namespace, false) {
		flaws = append(flaws, field.Invalid(field.NewPath("metadata", "namespace"), meta.Namespace, flaw))
	}

	if len(flaws) > 0 {
		return apierrors.NewInvalid(k.groupKind(), meta.Name, flaws)
	}

	return nil
}

// outcome is what a change comes to.
type outcome int

const (
	unchanged outcome = iota
	statusOnly
	changed
	finalized // the last finalizer of an object being deleted went away
)

// prepareUpdate makes of what a client wants the object's next version. With status, only the status changes; without,
// everything else does.
func prepareUpdate(k *kind, old, next draft, status bool) (draft, outcome, error) {
	if err := checkIdentity(k, &old.Meta, &next.Meta); err != nil {
		return draft{}, unchanged, err
	}

	if status {
		result := old
		result.Status = next.Status

		if equality.Semantic.DeepEqual(old.Status, next.Status) {
			return old, unchanged, nil
		}

		return result, statusOnly, nil
	}

	own(&next.Meta, &old.Meta)

	next.Status = old.Status
	respecified := !equality.Semantic.DeepEqual(old.Spec, next.Spec)

	if !respecified && equality.Semantic.DeepEqual(old.Meta, next.Meta) {
		return old, unchanged, nil
	}

	if respecified {
		next.Meta.Generation++
	}

	return finish(k, old, next)
}

// finish checks an update's metadata, and sees whether it is an object's last.
func finish(k *kind, old, next draft) (draft, outcome, error) {
	if err := checkMeta(k, &next.Meta); err != nil {
		return draft{}, unchanged, err
	}

	if next.Meta.DeletionTimestamp == nil {
		return next, changed, nil
	}

	path := field.NewPath("metadata", "finalizers")
	if flaws := validation.ValidateNoNewFinalizers(next.Meta.Finalizers, old.Meta.Finalizers, path); len(flaws) > 0 {
		return draft{}, unchanged, apierrors.NewInvalid(k.groupKind(), old.Meta.Name, flaws)
	}

	if len(next.Meta.Finalizers) == 0 {
		return next, finalized, nil
	}

	return next, changed, nil
}

var errStale = errors.New("the object has been modified; please apply your changes to the latest version and try again")

// checkIdentity refuses an update of another object, or of an older version.
func checkIdentity(k *kind, old, next *metav1.ObjectMeta) error {
	if next.Name != old.Name || next.Namespace != "" && next.Namespace != old.Namespace {
		return apierrors.NewBadRequest(fmt.Sprintf("the name of the object (%s/%s) does not match the name on the URL (%s/%s)",
			next.Namespace, next.Name, old.Namespace, old.Name))
	}

	if next.UID != "" && next.UID != old.UID {
		return apierrors.NewConflict(k.groupResource(), old.Name, unmet("UID", string(next.UID), string(old.UID)))
	}

	if _, err := strconv.ParseUint(next.ResourceVersion, 10, 64); err != nil {
		return apierrors.NewInvalid(k.groupKind(), old.Name, field.ErrorList{field.Invalid(
			field.NewPath("metadata", "resourceVersion"), next.ResourceVersion, "must be specified for an update")})
	}

	if next.ResourceVersion != old.ResourceVersion {
		return apierrors.NewConflict(k.groupResource(), old.Name, errStale)
	}

	return nil
}

// checkPreconditions refuses the deletion of another object than the caller meant.
func checkPreconditions(k *kind, meta *metav1.ObjectMeta, want *metav1.Preconditions) error {
	if want == nil {
		return nil
	}

	var err error

	switch {
	case want.UID != nil && *want.UID != meta.UID:
		err = unmet("UID", string(*want.UID), string(meta.UID))
	case want.ResourceVersion != nil && *want.ResourceVersion != meta.ResourceVersion:
		err = unmet("ResourceVersion", *want.ResourceVersion, meta.ResourceVersion)
	default:
		return nil
	}

	return apierrors.NewConflict(k.groupResource(), meta.Name, err)
}

func unmet(what, want, got string) error {
	return fmt.Errorf("Precondition failed: %s in precondition: %s, %s in object meta: %s", what, want, what, got) //nolint:staticcheck // as kube-apiserver words it
}

// prepareDelete marks an object that finalizers hold as being deleted; the second result says whether it can go at once.
func prepareDelete(d draft, now time.Time) (draft, bool) {
	if len(d.Meta.Finalizers) == 0 {
		return d, true
	}

	if d.Meta.DeletionTimestamp == nil {
		at := metav1.NewTime(now.UTC().Truncate(time.Second))
		d.Meta.DeletionTimestamp, d.Meta.DeletionGracePeriodSeconds = &at, new(int64)
		d.Meta.Generation++
	}

	return d, false
}
