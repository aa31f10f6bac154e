package objects

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// noResource stands where an error is about none.
var noResource schema.GroupResource

// writeJSON answers with a value.
func writeJSON(w http.ResponseWriter, code int, value any) {
	text, err := json.Marshal(value)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)

		return
	}

	writeText(w, code, text)
}

func writeText(w http.ResponseWriter, code int, text []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_, _ = w.Write(append(text, '\n')) //nolint:gosec // JSON, and nobody is left to tell
}

// writeError answers with the Status of an error.
func writeError(w http.ResponseWriter, err error) {
	status := statusFor(err)
	writeJSON(w, int(status.Code), status)
}

// statusFor is an error as Kubernetes tells it.
func statusFor(err error) metav1.Status {
	known := apierrors.APIStatus(nil)
	if !errors.As(err, &known) {
		known = apierrors.NewInternalError(err)
	}

	status := known.Status()
	status.TypeMeta = metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}

	return status
}

// object answers with an object.
func (r *request) object(code int, o *object) error {
	if !r.table {
		writeText(r.w, code, encode(r.kind, r.version, o.body))

		return nil
	}

	return r.rows(code, o.typed.GetResourceVersion(), [][]byte{o.body})
}

// list answers with objects as they were at a version.
func (r *request) list(version uint64, objects []*object) error {
	bodies := make([][]byte, len(objects))
	for i, object := range objects {
		bodies[i] = object.body
	}

	resourceVersion := strconv.FormatUint(version, 10)
	if r.table {
		return r.rows(http.StatusOK, resourceVersion, bodies)
	}

	text := fmt.Appendf(nil, `{"kind":"%sList","apiVersion":"%s/%s","metadata":{"resourceVersion":"%s"},"items":[`,
		r.kind.name, r.kind.group, r.version, resourceVersion)

	for i, body := range bodies {
		if i > 0 {
			text = append(text, ',')
		}

		text = append(text, encode(r.kind, r.version, body)...)
	}

	writeText(r.w, http.StatusOK, append(text, "]}"...))

	return nil
}

// rows answers with a table.
func (r *request) rows(code int, version string, bodies [][]byte) error {
	table, err := r.tabulate(version, bodies)
	if err != nil {
		return err
	}

	writeJSON(r.w, code, table)

	return nil
}

// warn tells the client of what it wrote in vain.
func (r *request) warn(warnings []string) {
	for _, warning := range warnings {
		text := strings.Map(func(c rune) rune {
			if c < ' ' || c > '~' {
				return '?'
			}

			return c
		}, warning)
		r.w.Header().Add("Warning", "299 - "+strconv.Quote(text))
	}
}
