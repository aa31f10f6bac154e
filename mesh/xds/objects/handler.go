package objects

import (
	"net/http"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

const (
	everywhere = "/apis/{group}/{version}/{plural}"
	collection = "/apis/{group}/{version}/namespaces/{namespace}/{plural}"
	one        = collection + "/{name}"
	statusOf   = one + "/status"
)

// Handler serves the objects as kube-apiserver would, with discovery, /openapi/v3 and /version. Who may call it is for
// whoever serves it to decide. Watches end when the Store is closed.
func (s *Store) Handler() http.Handler {
	mux := http.NewServeMux()

	for pattern, serve := range map[string]func(*request) error{
		"GET " + everywhere:    s.serveCollection,
		"GET " + collection:    s.serveCollection,
		"POST " + collection:   s.serveCreate,
		"DELETE " + collection: s.serveDeleteAll,
		"GET " + one:           s.serveGet,
		"PUT " + one:           s.serveUpdate,
		"PATCH " + one:         s.servePatch,
		"DELETE " + one:        s.serveDelete,
		"GET " + statusOf:      s.serveGet,
		"PUT " + statusOf:      s.serveUpdate,
		"PATCH " + statusOf:    s.servePatch,
		everywhere:             refuseMethod,
		collection:             refuseMethod,
		one:                    refuseMethod,
		statusOf:               refuseMethod,
	} {
		mux.HandleFunc(pattern, s.endpoint(serve))
	}

	s.describe(mux)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { writeError(w, notServed(r.URL.Path)) })

	return mux
}

// endpoint understands requests for one function, and answers its errors.
func (s *Store) endpoint(serve func(*request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		request, err := s.understand(w, r)
		if err == nil {
			err = serve(request)
		}

		if err != nil {
			writeError(w, err)
		}
	}
}

func refuseMethod(r *request) error {
	return apierrors.NewMethodNotSupported(r.kind.groupResource(), r.http.Method)
}

// notServed is the answer to an address that leads nowhere.
func notServed(path string) error {
	status := apierrors.NewGenericServerResponse(http.StatusNotFound, "", schema.GroupResource{}, "", path, 0, true)
	status.ErrStatus.Message = "the server could not find the requested resource: nothing is served at " + path

	return status
}
