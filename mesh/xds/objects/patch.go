package objects

import (
	"fmt"
	"net/http"

	jsonpatch "github.com/evanphx/json-patch/v5"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

const (
	// maxBody is how many bytes a request, and an object after a patch, may have.
	maxBody = 3 << 20
	// maxOperations is how many operations a JSON Patch may have, as in kube-apiserver.
	maxOperations = 10_000
)

// applyPatch returns a document with a patch applied. Answers to what does not apply are those of kube-apiserver.
func applyPatch(kind types.PatchType, document, patch []byte) ([]byte, error) {
	var (
		patched []byte
		err     error
	)

	switch kind { //nolint:exhaustive // the others are not served
	case types.JSONPatchType:
		patched, err = applyOperations(document, patch)
	case types.MergePatchType:
		patched, err = applyMerge(document, patch)
	default:
		return nil, unsupported(fmt.Sprintf("the body of the request was in an unknown format (%s) - accepted media types include: %s, %s",
			kind, types.JSONPatchType, types.MergePatchType))
	}

	if err == nil && len(patched) > maxBody {
		return nil, apierrors.NewRequestEntityTooLargeError(fmt.Sprintf("the patched object has %d bytes; the limit is %d", len(patched), maxBody))
	}

	return patched, err
}

// applyOperations applies a JSON Patch.
func applyOperations(document, patch []byte) ([]byte, error) {
	operations, err := jsonpatch.DecodePatch(patch)
	if err != nil {
		return nil, apierrors.NewBadRequest("the JSON Patch cannot be read: " + err.Error())
	}

	if len(operations) > maxOperations {
		return nil, apierrors.NewRequestEntityTooLargeError(
			fmt.Sprintf("the allowed maximum operations in a JSON patch is %d, got %d", maxOperations, len(operations)))
	}

	patched, err := operate(document, operations)
	if err != nil {
		return nil, refusedPatch(err)
	}

	return patched, nil
}

// operate applies operations. The library panics on some that make no sense, such as the test of a whole document
// against no value; they are refused like others that do not apply.
func operate(document []byte, operations jsonpatch.Patch) (patched []byte, err error) {
	defer func() {
		if reason := recover(); reason != nil {
			patched, err = nil, fmt.Errorf("an operation makes no sense: %v", reason)
		}
	}()

	options := jsonpatch.NewApplyOptions()
	options.AccumulatedCopySizeLimit = maxBody

	return operations.ApplyWithOptions(document, options) //nolint:wrapcheck // it is told as it is
}

// refusedPatch is the answer to a patch that does not apply, as kube-apiserver gives it: 422 Invalid.
func refusedPatch(err error) error {
	status := apierrors.NewGenericServerResponse(http.StatusUnprocessableEntity, "", schema.GroupResource{}, "", err.Error(), 0, false)
	status.ErrStatus.Message += ": " + err.Error()

	return status
}

// applyMerge applies a merge patch.
func applyMerge(document, patch []byte) ([]byte, error) {
	if !isObject(patch) {
		return nil, apierrors.NewBadRequest("a merge patch has to be a JSON object")
	}

	patched, err := jsonpatch.MergePatch(document, patch)
	if err != nil {
		return nil, apierrors.NewBadRequest("the merge patch cannot be read: " + err.Error())
	}

	return patched, nil
}

// unsupported is the answer to a body in a form that is not understood.
func unsupported(message string) error {
	return &apierrors.StatusError{ErrStatus: metav1.Status{
		Status: metav1.StatusFailure, Code: http.StatusUnsupportedMediaType,
		Reason: metav1.StatusReasonUnsupportedMediaType, Message: message,
	}}
}
