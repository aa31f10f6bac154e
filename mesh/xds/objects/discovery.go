package objects

import (
	"maps"
	"net/http"
	"runtime"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/version"
)

// describe serves what clients ask before they speak about objects.
func (s *Store) describe(mux *http.ServeMux) {
	for path, answer := range map[string]any{
		"GET /version":    release(),
		"GET /api":        metav1.APIVersions{TypeMeta: metav1.TypeMeta{Kind: "APIVersions"}, Versions: []string{}},
		"GET /apis":       s.kinds.discoverGroups(),
		"GET /openapi/v3": s.kinds.index(),
	} {
		mux.HandleFunc(path, constant(answer))
	}

	for _, group := range s.kinds.discoverGroups().Groups {
		mux.HandleFunc("GET /apis/"+group.Name, constant(group))

		for _, version := range group.Versions {
			mux.HandleFunc("GET /apis/"+version.GroupVersion, constant(s.kinds.discover(group.Name, version.Version)))
			mux.HandleFunc("GET /openapi/v3/apis/"+version.GroupVersion, constant(s.kinds.openAPI(group.Name, version.Version)))
		}
	}

	for _, path := range []string{"/healthz", "/livez", "/readyz"} {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok")) })
	}
}

// constant answers always the same.
func constant(answer any) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, http.StatusOK, answer) }
}

// release is the Kubernetes whose API this follows.
func release() version.Info {
	return version.Info{
		Major: "1", Minor: "35", GitVersion: "v1.35.0+serin",
		GoVersion: runtime.Version(), Compiler: runtime.Compiler, Platform: runtime.GOOS + "/" + runtime.GOARCH,
	}
}

func (ks kinds) discoverGroups() metav1.APIGroupList {
	list := metav1.APIGroupList{TypeMeta: metav1.TypeMeta{Kind: "APIGroupList", APIVersion: "v1"}}
	groups := ks.groups()

	for _, name := range slices.Sorted(maps.Keys(groups)) {
		group := metav1.APIGroup{TypeMeta: metav1.TypeMeta{Kind: "APIGroup", APIVersion: "v1"}, Name: name}
		for _, version := range groups[name] {
			group.Versions = append(group.Versions, metav1.GroupVersionForDiscovery{GroupVersion: name + "/" + version, Version: version})
		}

		group.PreferredVersion = group.Versions[0]
		list.Groups = append(list.Groups, group)
	}

	return list
}

// discover describes the kinds of a group.
func (ks kinds) discover(group, version string) metav1.APIResourceList {
	list := metav1.APIResourceList{
		TypeMeta: metav1.TypeMeta{Kind: "APIResourceList", APIVersion: "v1"}, GroupVersion: group + "/" + version,
	}

	for _, k := range ks.of(group) {
		list.APIResources = append(list.APIResources, metav1.APIResource{
			Name: k.plural, SingularName: k.singular, Namespaced: true, Kind: k.name, ShortNames: []string{k.short},
			Verbs:      metav1.Verbs{"create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"},
			Categories: []string{"istio-io"},
		}, metav1.APIResource{
			Name: k.plural + "/status", Namespaced: true, Kind: k.name, Verbs: metav1.Verbs{"get", "patch", "update"},
		})
	}

	return list
}
