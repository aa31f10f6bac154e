package objects

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"
)

// request is a call about one kind of objects.
type request struct {
	http    *http.Request
	w       http.ResponseWriter
	kind    *kind
	version string
	// key has no namespace in calls about all, and no name in calls about a collection.
	key    key
	status bool
	query  url.Values
	// table says that the caller wants rows to print.
	table bool
	mode  strictness
}

// understand reads everything but the body.
func (s *Store) understand(w http.ResponseWriter, r *http.Request) (*request, error) {
	known := s.kinds.resource(r.PathValue("group"), r.PathValue("version"), r.PathValue("plural"))
	if known == nil {
		return nil, notServed(r.URL.Path)
	}

	query := r.URL.Query()

	table, err := wantsTable(r.Header.Get("Accept"))
	if err != nil {
		return nil, err
	}

	mode, err := parseStrictness(query.Get("fieldValidation"))
	if err != nil {
		return nil, err
	}

	return &request{
		http: r, w: w, kind: known, version: r.PathValue("version"),
		key:    key{r.PathValue("namespace"), r.PathValue("name")},
		status: strings.HasSuffix(r.Pattern, "/status"), query: query, table: table, mode: mode,
	}, nil
}

func parseStrictness(text string) (strictness, error) {
	switch mode := strictness(text); mode {
	case "":
		return strict, nil
	case strict, warn, ignore:
		return mode, nil
	default:
		return "", apierrors.NewBadRequest(fmt.Sprintf("fieldValidation is %q; it has to be Strict, Warn or Ignore", text))
	}
}

// wantsTable reports whether an Accept header prefers a table over the objects themselves.
func wantsTable(accept string) (bool, error) {
	if accept == "" {
		return false, nil
	}

	for part := range strings.SplitSeq(accept, ",") {
		form, parameters, err := mime.ParseMediaType(part)
		if err != nil {
			continue
		}

		switch {
		case form == "application/json" && parameters["as"] == "Table" && parameters["g"] == "meta.k8s.io" && parameters["v"] == "v1":
			return true, nil
		case parameters["as"] == "" && (form == "application/json" || form == "application/*" || form == "*/*"):
			return false, nil
		}
	}

	return false, apierrors.NewGenericServerResponse(http.StatusNotAcceptable, "", noResource, "",
		"only application/json is served, also as=Table;v=v1;g=meta.k8s.io; the request accepts "+accept, 0, false)
}

func (r *request) decoder() decoder { return decoder{kind: r.kind, version: r.version, mode: r.mode} }

func (r *request) target() (target, error) {
	t := target{kind: r.kind, key: r.key, status: r.status}

	switch dry := r.query["dryRun"]; {
	case len(dry) == 0:
	case len(dry) == 1 && dry[0] == "All":
		t.dry = true
	default:
		return t, apierrors.NewBadRequest(fmt.Sprintf("dryRun is %q; it can only be All", dry))
	}

	return t, nil
}

// body reads the request's body.
func (r *request) body() ([]byte, error) {
	body, err := io.ReadAll(http.MaxBytesReader(r.w, r.http.Body, maxBody))
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		return nil, apierrors.NewRequestEntityTooLargeError(fmt.Sprintf("the limit is %d bytes", maxBody))
	}

	if err != nil {
		return nil, apierrors.NewBadRequest("the body cannot be read: " + err.Error())
	}

	return body, nil
}

// contentType is the form of the body, JSON if nothing is said.
func (r *request) contentType() string {
	form, _, err := mime.ParseMediaType(r.http.Header.Get("Content-Type"))
	if err != nil {
		return "application/json"
	}

	return form
}

// document reads a body that is an object, as JSON.
func (r *request) document() ([]byte, error) {
	body, err := r.body()
	if err != nil {
		return nil, err
	}

	switch form := r.contentType(); form {
	case "application/json":
		return body, nil
	case "application/yaml":
		document, err := yaml.YAMLToJSONStrict(body)
		if err != nil {
			return nil, apierrors.NewBadRequest("the body is not YAML: " + err.Error())
		}

		return document, nil
	default:
		return nil, unsupported(fmt.Sprintf("the body of the request was in an unknown format (%s) - accepted media types include: application/json, application/yaml", form))
	}
}

// patch reads a body that is a patch.
func (r *request) patch() (types.PatchType, []byte, error) {
	body, err := r.body()

	return types.PatchType(r.contentType()), body, err
}
