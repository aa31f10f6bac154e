package webapi

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// Request makes the request for arguments that match the input's schema. It goes to the base's host, at or below its
// path, whatever the arguments are. An error is about an argument that can't be sent.
func (o *Operation) Request(ctx context.Context, base *url.URL, arguments json.RawMessage) (*http.Request, error) {
	decoder := json.NewDecoder(bytes.NewReader(arguments))
	decoder.UseNumber()

	var values map[string]any
	if err := decoder.Decode(&values); err != nil {
		return nil, fmt.Errorf("arguments: %w", err)
	}

	parts, err := o.sort(values)
	if err != nil {
		return nil, err
	}

	path, err := o.path.expand(func(name string) (string, error) {
		text := parts.path[name]

		return text, checkStep(name, text)
	})
	if err != nil {
		return nil, err
	}

	target, err := o.target(base, path, parts.query)
	if err != nil {
		return nil, err
	}

	request, err := http.NewRequestWithContext(ctx, o.Method, target.String(), parts.reader)
	if err != nil {
		return nil, fmt.Errorf("making the request: %w", err)
	}

	request.Header = parts.header
	request.Header.Set("Accept", "application/json, text/*;q=0.8, */*;q=0.1")
	request.Header.Set("User-Agent", "serin")

	if parts.reader != nil {
		request.Header.Set("Content-Type", o.body.kind)
	}

	return request, nil
}

// target puts path and query behind the base's.
func (o *Operation) target(base *url.URL, path string, query []pair) (*url.URL, error) {
	target, err := url.Parse(base.Scheme + "://" + base.Host + strings.TrimSuffix(base.EscapedPath(), "/") + path)
	if err != nil {
		return nil, fmt.Errorf("the request's URL: %w", err)
	}

	texts := []string{}
	if base.RawQuery != "" {
		texts = append(texts, base.RawQuery)
	}

	for _, each := range query {
		texts = append(texts, url.QueryEscape(each.name)+"="+url.QueryEscape(each.value))
	}

	target.RawQuery = strings.Join(texts, "&")

	return target, nil
}

// parts are arguments by where they go.
type parts struct {
	path   map[string]string
	query  []pair
	header http.Header
	reader io.Reader // nil if there is no body
}

// sort puts each argument where it goes.
func (o *Operation) sort(values map[string]any) (*parts, error) {
	sorted, object := &parts{path: map[string]string{}, header: http.Header{}}, map[string]any{}

	for _, name := range slices.Sorted(maps.Keys(values)) {
		if name == o.body.argument && o.body.kind != "" && name != "" {
			continue
		}

		to, ok := o.parameterOf(name)
		if !ok {
			to = o.rest(name)
		}

		if err := sorted.add(to, values[name], object); err != nil {
			return nil, err
		}
	}

	if o.body.argument == "" {
		return sorted, sorted.carry(o.body, object, true)
	}

	if len(object) > 0 {
		return nil, fmt.Errorf("%s: the body is %s alone", slices.Sorted(maps.Keys(object))[0], o.body.argument)
	}

	whole, given := values[o.body.argument]

	return sorted, sorted.carry(o.body, whole, given)
}

func (p *parts) add(to parameter, value any, object map[string]any) error {
	switch to.in {
	case inPath:
		p.path[to.argument] = to.line(value)
	case inQuery:
		p.query = append(p.query, to.pairs(value)...)
	case inHeader:
		text := to.line(value)
		if strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r >= 0x7f }) { //nolint:mnd // ASCII's end
			return fmt.Errorf("%s: a header takes one line of ASCII characters", to.argument)
		}

		p.header.Set(to.name, text)
	default:
		object[to.name] = value
	}

	return nil
}

// carry writes the body.
func (p *parts) carry(as body, value any, given bool) error {
	if as.kind == "" || !given {
		return nil
	}

	if as.kind != kindForm {
		p.reader = strings.NewReader(compact(value))

		return nil
	}

	fields, ok := value.(map[string]any)
	if !ok {
		return fmt.Errorf("%s: a form takes an object", as.argument)
	}

	form := url.Values{}

	for name, value := range fields {
		for _, each := range (parameter{name: name, style: styleForm, explode: true}).formPairs(value) {
			form.Add(each.name, each.value)
		}
	}

	p.reader = strings.NewReader(form.Encode())

	return nil
}

// formPairs writes a field of a form: objects as JSON, as OpenAPI has it.
func (p parameter) formPairs(value any) []pair {
	if _, isObject := value.(map[string]any); isObject {
		p.style = styleJSON
	}

	return p.pairs(value)
}
