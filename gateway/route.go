package gateway

import (
	"net/http"
	"slices"
	"strings"

	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	conversationv1 "github.com/serinhq/serin/gen/serin/conversation/v1"
	memoryv1 "github.com/serinhq/serin/gen/serin/memory/v1"
	rolloutv1 "github.com/serinhq/serin/gen/serin/rollout/v1"
)

// route is one REST route, as the protos annotate it.
type route struct {
	verb string
	// template is the path with {parameters}.
	template string
	// method is the full gRPC method name.
	method string
	// query are the parameters that may stand in the address, by JSON name and by proto name.
	query map[string]protoreflect.FieldDescriptor
}

func (r *route) String() string { return r.verb + " " + r.template }

// routesOf reads the annotations of the services that the door serves.
func routesOf() []*route {
	files := []protoreflect.FileDescriptor{
		conversationv1.File_serin_conversation_v1_conversation_proto, memoryv1.File_serin_memory_v1_memory_proto,
		rolloutv1.File_serin_rollout_v1_rollout_proto,
	}

	var routes []*route

	for _, file := range files {
		for i := range file.Services().Len() {
			routes = append(routes, serviceRoutes(file.Services().Get(i))...)
		}
	}

	return routes
}

func serviceRoutes(service protoreflect.ServiceDescriptor) []*route {
	var routes []*route

	for i := range service.Methods().Len() {
		method := service.Methods().Get(i)

		rule, ok := proto.GetExtension(method.Options(), annotations.E_Http).(*annotations.HttpRule)
		if !ok || rule == nil {
			continue
		}

		routes = append(routes, newRoute(service, method, rule))
	}

	return routes
}

func newRoute(service protoreflect.ServiceDescriptor, method protoreflect.MethodDescriptor, rule *annotations.HttpRule) *route {
	r := &route{
		method: "/" + string(service.FullName()) + "/" + string(method.Name()),
		query:  map[string]protoreflect.FieldDescriptor{},
	}

	r.verb, r.template = http.MethodPost, rule.GetPost()
	if rule.GetGet() != "" {
		r.verb, r.template = http.MethodGet, rule.GetGet()
	}

	if rule.GetDelete() != "" {
		r.verb, r.template = http.MethodDelete, rule.GetDelete()
	}

	if rule.GetBody() != "*" {
		r.addQuery(method.Input().Fields())
	}

	return r
}

func (r *route) addQuery(fields protoreflect.FieldDescriptors) {
	for i := range fields.Len() {
		field := fields.Get(i)
		if strings.Contains(r.template, "{"+string(field.Name())+"}") {
			continue
		}

		r.query[field.JSONName()], r.query[string(field.Name())] = field, field
	}
}

// matches reports whether a path is one of the route's.
func (r *route) matches(path string) bool {
	want, have := segments(r.template), segments(path)
	if len(want) != len(have) {
		return false
	}

	for i := range want {
		if want[i] != have[i] && (!strings.HasPrefix(want[i], "{") || have[i] == "") {
			return false
		}
	}

	return true
}

// segments splits a path at slashes, and a verb such as :cancel off its end.
func segments(path string) []string {
	parts := strings.Split(path, "/")

	last := parts[len(parts)-1]
	if at := strings.LastIndex(last, ":"); at > 0 {
		return append(parts[:len(parts)-1], last[:at], last[at:])
	}

	return parts
}

// allowed are the verbs that a path answers to.
func allowed(routes []*route, path string) []string {
	var verbs []string

	for _, r := range routes {
		if r.matches(path) && !slices.Contains(verbs, r.verb) {
			verbs = append(verbs, r.verb)
		}
	}

	slices.Sort(verbs)

	return verbs
}
