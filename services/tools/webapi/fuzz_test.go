package webapi

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"
)

// FuzzOpenAPI: whatever a document is, it is read or refused, and what becomes a tool has a schema of JSON.
func FuzzOpenAPI(f *testing.F) {
	f.Add(library)
	f.Add(refersTo("#/components/schemas/A"))
	f.Add(`{"openapi":"3.1.0","paths":{"/a":{"get":{"operationId":"a","parameters":[{"name":"p","in":"query","schema":true}]}}},` +
		`"components":{"schemas":{"A":{"$ref":"#/components/schemas/A"},"B":{"allOf":[{"$ref":"#/components/schemas/B"}]}}}}`)
	f.Add("openapi: 3.0.0\npaths: &a\n  /: *a\n")

	f.Fuzz(func(t *testing.T, text string) {
		document, err := ParseOpenAPI([]byte(text))
		if err != nil {
			return
		}

		for _, id := range document.IDs() {
			made, err := document.Operation(id)
			if err == nil && (!json.Valid(made.Input) || made.Description == "") {
				t.Errorf("%q: %s %q", id, made.Input, made.Description)
			}
		}
	})
}

// FuzzRequest: whatever arguments are, the request goes to the base's host, below its path, and has the headers it has.
func FuzzRequest(f *testing.F) {
	f.Add("/a/{id}/b", "x", "y")
	f.Add("/{id}", "@evil.example/..", "\r\nHost: evil.example")
	f.Add("//{id}", "..%2f", "ä")
	f.Add("/{id}{id}", ".", "a&b=c#d")

	base, _ := url.Parse("https://x.example/v1")

	f.Fuzz(func(t *testing.T, path, step, text string) {
		read, err := parseTemplate(path)
		if err != nil || !strings.HasPrefix(path, "/") || strings.ContainsAny(path, "?# %") {
			return
		}

		operation := &Operation{Method: "GET", path: read, parameters: []parameter{
			{argument: "id", in: inPath, name: "id", style: styleSimple},
			{argument: "q", in: inQuery, name: "q", style: styleForm},
			{argument: "h", in: inHeader, name: "X-H", style: styleSimple},
		}}
		arguments, _ := json.Marshal(map[string]string{"id": step, "q": text, "h": text})

		request, err := operation.Request(t.Context(), base, arguments)
		if err != nil {
			return
		}

		if request.URL.Host != "x.example" || request.URL.Scheme != "https" || request.URL.User != nil || request.URL.Fragment != "" ||
			!strings.HasPrefix(request.URL.EscapedPath(), "/v1/") || len(request.URL.Query()) != 1 {
			t.Errorf("%q %q: %s", path, step, request.URL)
		}

		for _, values := range request.Header {
			if strings.ContainsAny(strings.Join(values, ""), "\r\n") {
				t.Errorf("headers %v", request.Header)
			}
		}

		if literal := strings.Join(read.texts, ""); !strings.Contains(literal, "..") {
			for each := range strings.SplitSeq(request.URL.Path, "/") {
				if each == ".." && !strings.Contains(path, ".") {
					t.Errorf("%q %q: %s", path, step, request.URL)
				}
			}
		}
	})
}
