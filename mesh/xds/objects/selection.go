package objects

import (
	"fmt"
	"strconv"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
)

// selection says which objects of a kind a list or watch is about.
type selection struct {
	namespace string
	labels    labels.Selector
	fields    fields.Selector
}

// has reports whether an object with these labels is selected.
func (s selection) has(at key, set labels.Set) bool {
	return (s.namespace == "" || s.namespace == at.namespace) && s.labels.Matches(set) &&
		s.fields.Matches(fields.Set{"metadata.name": at.name, "metadata.namespace": at.namespace})
}

func (r *request) selection() (selection, error) {
	byLabels, err := labels.Parse(r.query.Get("labelSelector"))
	if err != nil {
		return selection{}, apierrors.NewBadRequest("labelSelector cannot be read: " + err.Error())
	}

	byFields, err := fields.ParseSelector(r.query.Get("fieldSelector"))
	if err != nil {
		return selection{}, apierrors.NewBadRequest("fieldSelector cannot be read: " + err.Error())
	}

	for _, requirement := range byFields.Requirements() {
		if requirement.Field != "metadata.name" && requirement.Field != "metadata.namespace" {
			return selection{}, apierrors.NewBadRequest(fmt.Sprintf(
				"field label not supported: %s; metadata.name and metadata.namespace are", requirement.Field))
		}
	}

	return selection{r.key.namespace, byLabels, byFields}, nil
}

// resourceVersion is the version that the request names; 0 if none.
func (r *request) resourceVersion() (uint64, error) {
	text := r.query.Get("resourceVersion")
	if text == "" {
		return 0, nil
	}

	version, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, apierrors.NewBadRequest(fmt.Sprintf("resourceVersion is %q; it has to be one that this server gave", text))
	}

	return version, nil
}

// checkListVersion refuses a list of the past or the future: only the present is kept.
func (r *request) checkListVersion(now uint64) error {
	version, err := r.resourceVersion()
	if err != nil {
		return err
	}

	exact := r.query.Get("resourceVersionMatch") == string(metav1.ResourceVersionMatchExact)
	if version > now || exact && version != now {
		return expired(version)
	}

	return nil
}

// expired is the answer to a version whose writes are not known: too old, or of another store.
func expired(version uint64) error {
	return apierrors.NewResourceExpired(fmt.Sprintf("resource version %d is not known any more; list again", version))
}
