package istio

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	networking "istio.io/client-go/pkg/apis/networking/v1"
	"pgregory.net/rapid"
)

// handwritten is what someone had before Serin came.
const handwritten = `
kind: VirtualService
apiVersion: networking.istio.io/v1
metadata: {name: billing, namespace: default, labels: {team: payments}}
spec:
  hosts: [billing, billing.example.com]
  gateways: [mesh, ingress]
  http:
  - match: [{uri: {prefix: /grpc.health}}]
    route: [{destination: {host: billing, subset: v1}}]
    timeout: 2s
  - route: [{destination: {host: billing, subset: v1}, headers: {request: {set: {x-a: b}}}}]
---
kind: DestinationRule
apiVersion: networking.istio.io/v1
metadata: {name: billing, namespace: default}
spec:
  host: billing
  trafficPolicy: {loadBalancer: {simple: ROUND_ROBIN}}
  subsets:
  - {name: v1, labels: {version: v1}}
`

func serins(name any) bool {
	text, _ := name.(string)

	return text == "split" || text == "exclude" || strings.HasPrefix(text, "pin-") || strings.HasPrefix(text, "anchor-") ||
		strings.HasPrefix(text, "r-")
}

func list(d map[string]any, name string) []any {
	items, _ := d[name].([]any)

	return append([]any{}, items...)
}

func nameOf(item any) any { return item.(map[string]any)["name"] }

// foreignOf prints what is not Serin's.
func foreignOf(service *networking.VirtualService, rule *networking.DestinationRule) string {
	var text strings.Builder

	for _, part := range []struct {
		object any
		field  string
	}{{service, "http"}, {rule, "subsets"}} {
		raw, _ := json.Marshal(part.object)
		d := parse(raw)
		delete(d, "status")
		delete(child(d.meta(), "annotations"), IntentAnnotation)

		for _, field := range []string{"resourceVersion", "generation"} {
			delete(d.meta(), field)
		}

		d.spec()[part.field] = slices.DeleteFunc(list(d.spec(), part.field), func(item any) bool { return serins(nameOf(item)) })
		text.Write(append(d.json(), '\n'))
	}

	return text.String()
}

// foreign edits something that is not Serin's.
func (m *model) foreign(t *rapid.T) {
	n := rapid.IntRange(0, 999).Draw(t, "n")
	route := map[string]any{
		"name":  fmt.Sprintf("f-%d", n),
		"match": []any{map[string]any{"headers": map[string]any{"x-f": map[string]any{"prefix": fmt.Sprint(n)}}}},
		"route": []any{map[string]any{"destination": map[string]any{"host": "elsewhere", "subset": "v1"}}},
		"fault": map[string]any{"abort": map[string]any{"grpcStatus": "UNAVAILABLE"}},
	}

	edits := map[string]func(service, rule document){
		"prepend a route": func(service, _ document) {
			service.spec()["http"] = append([]any{route}, list(service.spec(), "http")...)
		},
		"insert a nameless route": func(service, _ document) {
			delete(route, "name")
			http := list(service.spec(), "http")
			service.spec()["http"] = slices.Insert(slices.Clone(http), n%(len(http)+1), any(route))
		},
		"append a route that takes all": func(service, _ document) {
			delete(route, "match")
			service.spec()["http"] = append(list(service.spec(), "http"), route)
		},
		"delete routes": func(service, _ document) {
			service.spec()["http"] = slices.DeleteFunc(list(service.spec(), "http"), func(r any) bool {
				return !serins(nameOf(r)) && n%2 == 0
			})
		},
		"set a timeout": func(service, _ document) {
			for _, r := range list(service.spec(), "http") {
				if !serins(nameOf(r)) {
					r.(map[string]any)["timeout"] = fmt.Sprintf("%ds", n+1)
				}
			}
		},
		"annotate": func(service, rule document) {
			child(service.meta(), "annotations")["note"] = fmt.Sprint(n)
			child(rule.meta(), "labels")["note"] = fmt.Sprint(n)
		},
		"add a subset": func(_, rule document) {
			subset := map[string]any{"name": fmt.Sprintf("f-%d", n), "labels": map[string]any{"version": "f"}}
			rule.spec()["subsets"] = append([]any{subset}, list(rule.spec(), "subsets")...)
		},
		"set a policy": func(_, rule document) {
			rule.spec()["trafficPolicy"] = map[string]any{"connectionPool": map[string]any{"http": map[string]any{"http2MaxRequests": n + 1}}}
		},
	}

	m.edit(t, edits)
}

// edit draws one of the edits, and makes it to both objects.
func (m *model) edit(t *rapid.T, edits map[string]func(service, rule document)) {
	names := make([]string, 0, len(edits))
	for name := range edits {
		names = append(names, name)
	}

	slices.Sort(names)
	edit := edits[rapid.SampledFrom(names).Draw(t, "edit")]

	m.server.edit(serviceOf(billing), func(d document) { edit(d, document{}) })
	m.server.edit(ruleOf(billing), func(d document) { edit(document{}, d) })
	m.snapshot()
}

// drift edits what is Serin's, as long as a mark tells that it is: without one, what was changed is foreign.
func (m *model) drift(t *rapid.T) {
	if m.service == nil || !readMark(m.service).there() {
		t.Skip()
	}

	m.excused = true
	n := rapid.IntRange(0, 999).Draw(t, "n")

	one := func(items []any, change func(map[string]any)) {
		ours := slices.DeleteFunc(slices.Clone(items), func(item any) bool { return !serins(nameOf(item)) })
		if len(ours) > 0 {
			change(ours[n%len(ours)].(map[string]any))
		}
	}
	without := func(d map[string]any, field string) {
		one(list(d, field), func(gone map[string]any) {
			d[field] = slices.DeleteFunc(list(d, field), func(item any) bool { return nameOf(item) == gone["name"] })
		})
	}

	m.edit(t, map[string]func(service, rule document){
		"change weights": func(service, _ document) {
			for _, r := range list(service.spec(), "http") {
				for i, d := range list(r.(map[string]any), "route") {
					if nameOf(r) == "split" {
						d.(map[string]any)["weight"] = (n + i*17) % 101
					}
				}
			}
		},
		"delete a route":  func(service, _ document) { without(service.spec(), "http") },
		"delete a subset": func(_, rule document) { without(rule.spec(), "subsets") },
		"take all": func(service, _ document) {
			route := map[string]any{"route": []any{map[string]any{"destination": map[string]any{"host": "elsewhere"}}}}
			service.spec()["http"] = append([]any{route}, list(service.spec(), "http")...)
		},
		"double a route": func(service, _ document) {
			one(list(service.spec(), "http"), func(r map[string]any) {
				service.spec()["http"] = append(list(service.spec(), "http"), map[string]any(parse(document(r).json())))
			})
		},
		"change a match": func(service, _ document) {
			one(list(service.spec(), "http"), func(r map[string]any) {
				r["match"] = []any{map[string]any{"uri": map[string]any{"prefix": "/x"}}}
			})
		},
		"lead elsewhere": func(service, _ document) {
			one(list(service.spec(), "http"), func(r map[string]any) {
				r["route"] = []any{map[string]any{"destination": map[string]any{"host": "elsewhere", "subset": "v1"}}}
			})
		},
	})
}
