package webapi

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/serinhq/serin/internal/agentspec"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// declaration is a tool with arguments of each kind.
func declaration(method, path string, change func(*agentspec.HTTPTool)) *agentspec.HTTPTool {
	made := &agentspec.HTTPTool{
		Name: "tool", Description: "A tool.", Method: method, Path: path,
		Input: agentspec.Object(`{"type":"object","required":["id"],"properties":{"id":{"type":"string"},"tags":{"type":"array"},` +
			`"limit":{"type":"integer"},"note":{"type":"string"},"entry":{"type":"object"}}}`),
	}
	if change != nil {
		change(made)
	}

	return made
}

func placed(at map[string]agentspec.HTTPParameter) func(*agentspec.HTTPTool) {
	return func(declared *agentspec.HTTPTool) { declared.Parameters = at }
}

func TestRequest(t *testing.T) {
	for name, test := range map[string]struct {
		declared  *agentspec.HTTPTool
		base      string
		arguments string
		want      string
		body      string
	}{
		"query": {
			declaration("GET", "/a/{id}", nil), "https://x.example/v1/", `{"id":"7","limit":12345678901234567890,"tags":["a b","c&d"]}`,
			"GET https://x.example/v1/a/7?limit=12345678901234567890&tags=a+b&tags=c%26d", "",
		},
		"body": {
			declaration("POST", "/a/{id}", nil), "https://x.example", `{"id":"7","limit":3,"note":"<b>"}`,
			"POST https://x.example/a/7", `{"limit":3,"note":"<b>"}`,
		},
		"no arguments": {
			declaration("POST", "/a", func(d *agentspec.HTTPTool) { d.Input = nil }), "https://x.example", `{}`, "POST https://x.example/a", `{}`,
		},
		"places": {
			declaration("PUT", "/a/{id}/b", placed(map[string]agentspec.HTTPParameter{
				"limit": {In: "query", Name: "max"}, "note": {In: "header", Name: "X-Note"}, "tags": {In: "body", Name: "labels"},
			})), "https://x.example/?key=1", `{"id":"ä/b","limit":3,"note":"hi","tags":[1]}`,
			"PUT https://x.example/a/%C3%A4%2Fb/b?key=1&max=3 X-Note: hi", `{"labels":[1]}`,
		},
		"whole body": {
			declaration("PATCH", "/a/{id}", func(d *agentspec.HTTPTool) {
				d.Body = "entry"
				d.Parameters = map[string]agentspec.HTTPParameter{"limit": {In: "query"}, "note": {In: "query"}, "tags": {In: "query"}}
			}), "https://x.example", `{"id":"1","entry":{"a":1},"note":"n"}`,
			"PATCH https://x.example/a/1?note=n", `{"a":1}`,
		},
		"delete": {declaration("DELETE", "/a/{id}", nil), "https://x.example", `{"id":"1"}`, "DELETE https://x.example/a/1", ""},
		// Whatever arguments are: the host stays.
		"another host":  {declaration("GET", "/{id}", nil), "https://x.example", `{"id":"@evil.example/"}`, "GET https://x.example/@evil.example%2F", ""},
		"another query": {declaration("GET", "/{id}", nil), "https://x.example", `{"id":"a?b=c#d"}`, "GET https://x.example/a%3Fb=c%23d", ""},
		"two slashes":   {declaration("GET", "/{id}", nil), "https://x.example", `{"id":"/evil.example"}`, "GET https://x.example/%2Fevil.example", ""},
	} {
		operation, err := FromHTTP(test.declared)
		if err != nil {
			t.Errorf("%s: %v", name, err)

			continue
		}

		base, _ := url.Parse(test.base)

		wantRequest(t, name, operation, base, test.arguments, "X-Note", test.want, test.body)
	}
}

// wantRequest wants a request for arguments: its method, URL and, if it has it, one header; and its body.
func wantRequest(t *testing.T, name string, operation *Operation, base *url.URL, arguments, header, want, body string) {
	t.Helper()

	request, err := operation.Request(t.Context(), base, json.RawMessage(arguments))
	if err != nil {
		t.Errorf("%s: %v", name, err)

		return
	}

	got := request.Method + " " + request.URL.String()
	if value := request.Header.Get(header); value != "" {
		got += " " + header + ": " + value
	}

	if sent := bodyOf(request); got != want || sent != body {
		t.Errorf("%s: %s %s, want %s %s", name, got, sent, want, body)
	}
}

func bodyOf(request *http.Request) string {
	if request.Body == nil {
		return ""
	}

	body, _ := io.ReadAll(request.Body)

	return string(body)
}

func TestRequestRefusesArguments(t *testing.T) {
	operation, err := FromHTTP(declaration("GET", "/a/{id}", placed(map[string]agentspec.HTTPParameter{"note": {In: "header", Name: "X-Note"}})))
	if err != nil {
		t.Fatal(err)
	}

	base, _ := url.Parse("https://x.example")

	for arguments, want := range map[string]string{
		`{"id":".."}`:                       "another path",
		`{"id":"../admin"}`:                 "another path",
		`{"id":"a\\..\\b"}`:                 "another path",
		`{"id":"."}`:                        "another path",
		`{"id":""}`:                         "empty",
		`{}`:                                "empty",
		`{"id":"1","note":"a\r\nX-Own: 1"}`: "one line",
		`{"id":"1","note":"ä"}`:             "ASCII",
	} {
		if request, err := operation.Request(t.Context(), base, json.RawMessage(arguments)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v %v, want %q", arguments, request, err, want)
		}
	}
}

func TestFromHTTPRefuses(t *testing.T) {
	for want, declared := range map[string]*agentspec.HTTPTool{
		`a } without a {`:                             declaration("GET", "/a}/{id}", nil),
		`want an argument's name in { and }`:          declaration("GET", "/a/{id", nil),
		`{other} must be a property of input`:         declaration("GET", "/a/{other}", nil),
		`{note} must be a property of input, and req`: declaration("GET", "/a/{note}", nil),
		`want a schema with type: object`:             declaration("GET", "/a", func(d *agentspec.HTTPTool) { d.Input = agentspec.Object(`{"type":"string"}`) }),
		`body: a GET carries none`:                    declaration("GET", "/a", func(d *agentspec.HTTPTool) { d.Body = "entry" }),
		`body: "x" is no property of input`:           declaration("POST", "/a", func(d *agentspec.HTTPTool) { d.Body = "x" }),
		`whether "id" is in query or header`:          declaration("POST", "/a", func(d *agentspec.HTTPTool) { d.Body = "entry" }),
		`parameters.x: no property of input`:          declaration("GET", "/a", placed(map[string]agentspec.HTTPParameter{"x": {In: "query"}})),
		`it is in the path already`:                   declaration("GET", "/{id}", placed(map[string]agentspec.HTTPParameter{"id": {In: "query"}})),
		`a GET carries no body`:                       declaration("GET", "/a", placed(map[string]agentspec.HTTPParameter{"note": {In: "body"}})),
		`Serin sets this header itself`:               declaration("GET", "/a", placed(map[string]agentspec.HTTPParameter{"note": {In: "header", Name: "host"}})),
		`auth does`:                                   declaration("GET", "/a", placed(map[string]agentspec.HTTPParameter{"note": {In: "header", Name: "authorization"}})),
		`want a name without spaces`:                  declaration("GET", "/a", placed(map[string]agentspec.HTTPParameter{"note": {In: "header", Name: "a b"}})),
	} {
		if _, err := FromHTTP(declared); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

func TestStyles(t *testing.T) {
	list, object := []any{"a", json.Number("2")}, map[string]any{"y": true, "x": nil}

	for _, test := range []struct {
		made  parameter
		value any
		want  string
	}{
		{parameter{name: "n", style: styleForm, explode: true}, list, "n=a n=2"},
		{parameter{name: "n", style: styleForm}, list, "n=a,2"},
		{parameter{name: "n", style: styleSpace}, list, "n=a 2"},
		{parameter{name: "n", style: stylePipe}, list, "n=a|2"},
		{parameter{name: "n", style: styleForm, explode: true}, object, "x= y=true"},
		{parameter{name: "n", style: styleForm}, object, "n=x,,y,true"},
		{parameter{name: "n", style: styleDeep, explode: true}, object, "n[x]= n[y]=true"},
		{parameter{name: "n", style: styleJSON}, object, `n={"x":null,"y":true}`},
		{parameter{name: "n", style: styleForm, explode: true}, []any{object}, `n={"x":null,"y":true}`},
	} {
		texts := []string{}
		for _, each := range test.made.pairs(test.value) {
			texts = append(texts, each.name+"="+each.value)
		}

		if got := strings.Join(texts, " "); got != test.want {
			t.Errorf("%+v: %s, want %s", test.made, got, test.want)
		}
	}

	for want, made := range map[string]parameter{"x,,y,true": {style: styleSimple}, "x=,y=true": {style: styleSimple, explode: true}, `{"x":null,"y":true}`: {style: styleJSON}} {
		if got := made.line(object); got != want {
			t.Errorf("%+v: %s, want %s", made, got, want)
		}
	}
}

func TestRead(t *testing.T) {
	for _, test := range []struct {
		kind, body, want string
		status           int
		json, cut        bool
	}{
		{"application/json; charset=utf-8", "{ \"a\": 12345678901234567890 }", `{"a":12345678901234567890}`, 200, true, false},
		{"application/problem+json", `{"title":"no"}`, `{"title":"no"}`, 404, true, false},
		{"application/json", `{"a":`, `{"a":`, 200, false, false},
		{"text/plain", "some text", "some text", 200, false, false},
		{"", "some text", "some text", 200, false, false},
		{"", "\xff\xfe", "[, 2 bytes, left out]", 200, false, false},
		{"image/png", "\x89PNG", "[image/png, 4 bytes, left out]", 200, false, false},
		{"", "", "HTTP 204 No Content", 204, false, false},
		{"", "", "", 500, false, false},
		{"text/plain", strings.Repeat("x", 30), strings.Repeat("x", 20), 200, false, true},
	} {
		response := &http.Response{
			StatusCode: test.status, Header: http.Header{"Content-Type": {test.kind}}, Body: io.NopCloser(strings.NewReader(test.body)),
		}

		limit := int64(40)
		if test.cut {
			limit = 20
		}

		got, err := Read(response, limit)
		if err != nil || got.Text != test.want || (got.JSON != nil) != test.json || got.Cut != test.cut || got.Status != test.status {
			t.Errorf("%q %q: %+v %v", test.kind, test.body, got, err)
		}
	}
}
