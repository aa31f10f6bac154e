package xds

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

// Type is a kind of xDS resource. Their order is that in which a change is sent: make before break.
type Type int

// The types of resources.
const (
	Cluster Type = iota
	Endpoints
	Listener
	Routes
)

// types is how many there are.
const types = 4

const urlPrefix = "type.googleapis.com/"

// URL returns the type URL that requests and responses carry.
func (t Type) URL() string {
	return urlPrefix + [types]string{
		"envoy.config.cluster.v3.Cluster",
		"envoy.config.endpoint.v3.ClusterLoadAssignment",
		"envoy.config.listener.v3.Listener",
		"envoy.config.route.v3.RouteConfiguration",
	}[t]
}

// String returns the short name of the discovery service.
func (t Type) String() string { return [types]string{"CDS", "EDS", "LDS", "RDS"}[t] }

// complete reports whether a response has to hold all resources: what is not in it is gone.
func (t Type) complete() bool { return t == Cluster || t == Listener }

func typeOf(url string) (Type, bool) {
	for t := range Type(types) {
		if t.URL() == url {
			return t, true
		}
	}

	return 0, false
}

// Ref names an object.
type Ref struct{ Kind, Namespace, Name string }

// String returns the kind and the name.
func (r Ref) String() string { return r.Kind + " " + r.Namespace + "/" + r.Name }

// Resource is one xDS resource, marshalled.
type Resource struct {
	Name string
	// Version is a digest of the contents.
	Version string
	// Body is shared between streams: nobody may change it.
	Body *anypb.Any
	// Origins are the objects that it is made from.
	Origins []Ref
	// Needs names the clusters that a route configuration leads to.
	Needs []string
}

// Resources is what a mesh is told, by type and name.
type Resources [types]map[string]*Resource

// Get returns the resource of a name, nil if there is none.
func (r Resources) Get(t Type, name string) *Resource { return r[t][name] }

// version is empty if there is no such resource.
func (r Resources) version(t Type, name string) string {
	if resource := r[t][name]; resource != nil {
		return resource.Version
	}

	return ""
}

func newResources() Resources {
	var resources Resources
	for t := range resources {
		resources[t] = map[string]*Resource{}
	}

	return resources
}

func (r Resources) add(t Type, resource *Resource) {
	r[t][resource.Name] = resource
}

// seal marshals a message: equal messages become equal bytes, so that clients see no change where there is none.
func seal(name string, message proto.Message, origins ...Ref) *Resource {
	body := pack(message)
	digest := sha256.Sum256(body.GetValue())

	return &Resource{Name: name, Version: hex.EncodeToString(digest[:8]), Body: body, Origins: origins}
}

// pack cannot fail: the messages are ours, and their strings are checked before.
func pack(message proto.Message) *anypb.Any {
	value, err := proto.MarshalOptions{Deterministic: true}.Marshal(message)
	if err != nil {
		panic(fmt.Sprintf("xds: marshalling %T: %v", message, err))
	}

	return &anypb.Any{TypeUrl: urlPrefix + string(message.ProtoReflect().Descriptor().FullName()), Value: value}
}
