package istio

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	jsonpatch "github.com/evanphx/json-patch/v5"
	networking "istio.io/client-go/pkg/apis/networking/v1"
	versioned "istio.io/client-go/pkg/clientset/versioned"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"pgregory.net/rapid"
	"sigs.k8s.io/yaml"
)

// server is an API server in memory, with the semantics that matter here: resourceVersion, generation, JSON Patch with tests,
// preconditions, a status that only its subresource changes, watches. It is an http.RoundTripper, so that the real client
// speaks to it.
type server struct {
	mu       sync.Mutex
	version  int
	objects  map[string]document
	watchers map[chan []byte]string

	// before is asked ahead of each request: its error is a broken connection. after sees each write that was made, and
	// its error loses the answer. Neither holds the lock.
	before func(method, path string) error
	after  func(method, path string) error
	tap    func(method, path string, body []byte)
	// forbid refuses all watches; missing says that there is nothing to watch.
	forbid, missing bool
	// writes are the methods and paths of the writes that were made.
	writes []string
}

type document map[string]any

func newServer() *server {
	return &server{objects: map[string]document{}, watchers: map[chan []byte]string{}}
}

func (s *server) client(t rapid.TB) versioned.Interface {
	t.Helper()

	client, err := versioned.NewForConfig(&rest.Config{Host: "http://api", Transport: s, QPS: -1})
	if err != nil {
		t.Fatal(err)
	}

	return client
}

// RoundTrip serves one request.
func (s *server) RoundTrip(request *http.Request) (*http.Response, error) {
	if err := request.Context().Err(); err != nil {
		return nil, err
	}

	if s.before != nil {
		if err := s.before(request.Method, request.URL.Path); err != nil {
			return nil, err
		}
	}

	if request.URL.Query().Get("watch") != "" && (s.forbid || s.missing) {
		code, answer := failure(http.StatusForbidden, metav1.StatusReasonForbidden, "no")
		if s.missing {
			code, answer = failure(http.StatusNotFound, metav1.StatusReasonNotFound, "no such type")
		}

		return response(request, code, io.NopCloser(bytes.NewReader(answer))), nil
	}

	if request.URL.Query().Get("watch") != "" {
		return s.watch(request), nil
	}

	var body []byte
	if request.Body != nil {
		body, _ = io.ReadAll(request.Body)
	}

	code, answer := s.serve(request.Method, request.URL.Path, body)

	if code < 300 && request.Method != http.MethodGet {
		s.mu.Lock()
		s.writes = append(s.writes, request.Method+" "+short(request.URL.Path))
		s.mu.Unlock()

		if s.tap != nil {
			s.tap(request.Method, request.URL.Path, body)
		}

		if s.after != nil {
			if err := s.after(request.Method, request.URL.Path); err != nil {
				return nil, err
			}
		}
	}

	return response(request, code, io.NopCloser(bytes.NewReader(answer))), nil
}

func short(path string) string {
	parts := strings.Split(path, "/")

	return strings.Join(parts[6:], "/")
}

func response(request *http.Request, code int, body io.ReadCloser) *http.Response {
	return &http.Response{
		StatusCode: code, Status: strconv.Itoa(code), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"Content-Type": {"application/json"}}, Body: body, Request: request,
	}
}

func failure(code int, reason metav1.StatusReason, message string) (int, []byte) {
	text, _ := json.Marshal(metav1.Status{
		TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"},
		Status:   metav1.StatusFailure, Code: int32(code), Reason: reason, Message: message,
	})

	return code, text
}

// serve handles /apis/<group>/v1/namespaces/<namespace>/<plural>[/<name>].
func (s *server) serve(method, path string, body []byte) (int, []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()

	collection := strings.Count(path, "/") == 6

	switch old, ok := s.objects[path]; {
	case method == http.MethodGet && collection:
		return http.StatusOK, s.list(path)
	case method == http.MethodPost:
		return s.create(path, body)
	case !ok:
		return failure(http.StatusNotFound, metav1.StatusReasonNotFound, path+" not found")
	case method == http.MethodGet:
		return http.StatusOK, old.json()
	case method == http.MethodDelete:
		return s.delete(path, body)
	case method == http.MethodPut:
		next := parse(body)
		if v := next.meta()["resourceVersion"]; v != nil && v != "" && v != old.meta()["resourceVersion"] {
			return failure(http.StatusConflict, metav1.StatusReasonConflict, "resourceVersion is old")
		}

		return http.StatusOK, s.store(path, next)
	case method == http.MethodPatch:
		return s.patch(path, body)
	default:
		return failure(http.StatusMethodNotAllowed, metav1.StatusReasonMethodNotAllowed, method)
	}
}

func (s *server) list(path string) []byte {
	items := []document{}

	for _, name := range slices.Sorted(maps.Keys(s.objects)) {
		if strings.HasPrefix(name, path+"/") {
			items = append(items, s.objects[name])
		}
	}

	kind := "VirtualServiceList"
	if strings.HasSuffix(path, "destinationrules") {
		kind = "DestinationRuleList"
	}

	return document{
		"kind": kind, "apiVersion": "networking.istio.io/v1", "items": items,
		"metadata": document{"resourceVersion": strconv.Itoa(s.version)},
	}.json()
}

func (s *server) create(path string, body []byte) (int, []byte) {
	object := parse(body)
	path += "/" + fmt.Sprint(object.meta()["name"])

	if _, ok := s.objects[path]; ok {
		return failure(http.StatusConflict, metav1.StatusReasonAlreadyExists, path+" exists")
	}

	return http.StatusCreated, s.store(path, object)
}

func (s *server) delete(path string, body []byte) (int, []byte) {
	var options metav1.DeleteOptions
	_ = json.Unmarshal(body, &options)

	if p := options.Preconditions; p != nil && p.ResourceVersion != nil && *p.ResourceVersion != s.objects[path].meta()["resourceVersion"] {
		return failure(http.StatusConflict, metav1.StatusReasonConflict, "precondition failed")
	}

	s.tell(path, "DELETED", s.objects[path])
	delete(s.objects, path)

	return failure(http.StatusOK, "", "deleted")
}

func (s *server) patch(path string, body []byte) (int, []byte) {
	change, err := jsonpatch.DecodePatch(body)
	if err != nil {
		return failure(http.StatusBadRequest, metav1.StatusReasonBadRequest, err.Error())
	}

	next, err := change.Apply(s.objects[path].json())
	if err != nil {
		return failure(http.StatusUnprocessableEntity, metav1.StatusReasonInvalid, err.Error())
	}

	return http.StatusOK, s.store(path, parse(next))
}

// store keeps an object as the server would: what the server owns is not the client's to say.
func (s *server) store(path string, object document) []byte {
	s.version++

	old, meta := s.objects[path], object.meta()
	if old == nil {
		delete(object, "status")
		meta["generation"], meta["uid"] = 1.0, fmt.Sprintf("uid-%d", s.version)

		if meta["creationTimestamp"] == nil {
			meta["creationTimestamp"] = time.Unix(int64(s.version), 0).UTC().Format(time.RFC3339)
		}
	} else {
		for _, field := range []string{"generation", "uid", "creationTimestamp"} {
			meta[field] = old.meta()[field]
		}

		object["status"] = old["status"]
		if !reflect.DeepEqual(old["spec"], object["spec"]) {
			meta["generation"] = old.meta()["generation"].(float64) + 1
		}
	}

	meta["resourceVersion"] = strconv.Itoa(s.version)
	s.objects[path] = object
	s.tell(path, map[bool]string{true: "ADDED", false: "MODIFIED"}[old == nil], object)

	return object.json()
}

// reconcile says that every proxy has the object.
func (s *server) reconcile(path string) {
	s.mu.Lock()
	defer s.mu.Unlock()

	if object := s.objects[path]; object != nil {
		s.version++
		object["status"] = map[string]any{
			"observedGeneration": object.meta()["generation"],
			"conditions":         []any{map[string]any{"type": "Reconciled", "status": "True"}},
		}
		object.meta()["resourceVersion"] = strconv.Itoa(s.version)
		s.tell(path, "MODIFIED", object)
	}
}

// edit changes an object as another client would, who leaves the rest as it is.
func (s *server) edit(path string, change func(document)) {
	s.mu.Lock()
	defer s.mu.Unlock()

	if object := s.objects[path]; object != nil {
		next := parse(object.json())
		change(next)
		s.store(path, next)
	}
}

func (s *server) tell(path, kind string, object document) {
	event := append(document{"type": kind, "object": object}.json(), '\n')

	for watcher, prefix := range s.watchers {
		if strings.HasPrefix(path, prefix+"/") {
			watcher <- event
		}
	}
}

func (s *server) watch(request *http.Request) *http.Response {
	reader, writer := io.Pipe()
	events := make(chan []byte, 100)

	s.mu.Lock()
	s.watchers[events] = request.URL.Path
	s.mu.Unlock()

	go func() {
		defer func() {
			s.mu.Lock()
			delete(s.watchers, events)
			s.mu.Unlock()
		}()

		for {
			select {
			case <-request.Context().Done():
				writer.CloseWithError(io.EOF)

				return
			case event, ok := <-events:
				if _, err := writer.Write(event); err != nil || !ok {
					writer.CloseWithError(io.EOF)

					return
				}
			}
		}
	}()

	return response(request, http.StatusOK, reader)
}

// hangUp ends all watches.
func (s *server) hangUp() {
	s.mu.Lock()
	defer s.mu.Unlock()

	for watcher := range s.watchers {
		close(watcher)
		delete(s.watchers, watcher)
	}
}

// load puts YAML documents into the server.
func (s *server) load(t rapid.TB, text string) {
	t.Helper()

	for part := range strings.SplitSeq(text, "\n---\n") {
		var object document
		if err := yaml.Unmarshal([]byte(part), &object); err != nil {
			t.Fatal(err)
		}

		if object == nil {
			continue
		}

		kind := map[string]string{
			"VirtualService": virtualServices, "DestinationRule": destinationRules, "AuthorizationPolicy": authorizationPolicies,
		}[fmt.Sprint(object["kind"])]
		s.mu.Lock()
		code, answer := s.create(fmt.Sprintf(kind, object.meta()["namespace"]), object.json())
		s.mu.Unlock()

		if code != http.StatusCreated {
			t.Fatal(string(answer))
		}
	}
}

const (
	virtualServices       = "/apis/networking.istio.io/v1/namespaces/%s/virtualservices"
	destinationRules      = "/apis/networking.istio.io/v1/namespaces/%s/destinationrules"
	authorizationPolicies = "/apis/security.istio.io/v1/namespaces/%s/authorizationpolicies"
)

func serviceOf(agent Agent) string {
	return fmt.Sprintf(virtualServices, agent.Namespace) + "/" + agent.Name
}

func ruleOf(agent Agent) string {
	return fmt.Sprintf(destinationRules, agent.Namespace) + "/" + agent.Name
}

func parse(text []byte) document {
	var object document
	if json.Unmarshal(text, &object) != nil || object == nil {
		object = document{}
	}

	return object
}

func (d document) json() []byte {
	text, _ := json.Marshal(d)

	return text
}

func (d document) meta() map[string]any { return child(d, "metadata") }
func (d document) spec() map[string]any { return child(d, "spec") }

func child(d map[string]any, name string) map[string]any {
	switch value := d[name].(type) {
	case map[string]any:
		return value
	case document:
		return value
	}

	made := map[string]any{}
	d[name] = made

	return made
}

var errBroken = errors.New("connection broken")

// reconcileAll says that every proxy has everything.
func (s *server) reconcileAll() {
	s.mu.Lock()
	paths := slices.Sorted(maps.Keys(s.objects))
	s.mu.Unlock()

	for _, path := range paths {
		s.reconcile(path)
	}
}

// objectsOf reads billing's objects; nil if they are not there.
func (s *server) objectsOf(t rapid.TB) (*networking.VirtualService, *networking.DestinationRule) {
	t.Helper()

	before, client := s.before, s.client(t).NetworkingV1()
	s.before = nil
	service, missing := client.VirtualServices(billing.Namespace).Get(context.Background(), billing.Name, metav1.GetOptions{})
	rule, lacking := client.DestinationRules(billing.Namespace).Get(context.Background(), billing.Name, metav1.GetOptions{})
	s.before = before

	if missing != nil {
		service = nil
	}

	if lacking != nil {
		rule = nil
	}

	return service, rule
}

// yaml prints all objects without what the server fills in.
func (s *server) yaml() string {
	s.mu.Lock()
	defer s.mu.Unlock()

	parts := make([]string, 0, len(s.objects))

	for _, path := range slices.Sorted(maps.Keys(s.objects)) {
		object := parse(s.objects[path].json())
		delete(object, "status")

		for _, field := range []string{"generation", "uid", "creationTimestamp", "resourceVersion"} {
			delete(object.meta(), field)
		}

		text, _ := yaml.Marshal(object)
		parts = append(parts, string(text))
	}

	return strings.Join(parts, "---\n")
}
