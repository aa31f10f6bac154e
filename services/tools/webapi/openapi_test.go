package webapi

import (
	"net/url"
	"strings"
	"testing"
)

const library = `
openapi: 3.0.3
info: {title: Library, version: "1"}
servers: [{url: https://elsewhere.example.com}]
paths:
  /books/{id}:
    parameters:
      - {name: id, in: path, required: true, schema: {type: string}, description: The book.}
      - {name: trace, in: header, schema: {type: string}}
      - {name: session, in: cookie, schema: {type: string}}
      - {name: Authorization, in: header, schema: {type: string}}
    get:
      operationId: getBook
      summary: Gets a book.
      parameters:
        - {name: id, in: query, schema: {type: integer, minimum: 1, exclusiveMinimum: true, nullable: true, enum: [2, 3], example: 7}}
        - {name: fields, in: query, explode: false, schema: {type: array, items: {type: string, pattern: "^(?!x)"}}}
        - {name: filter, in: query, style: deepObject, schema: {type: object}}
        - {name: raw, in: query, content: {application/json: {schema: {type: object}}}}
      responses: {"200": {description: A book.}}
    put:
      operationId: putBook
      requestBody: {required: true, content: {text/plain: {}, application/json; charset=utf-8: {schema: {$ref: "#/components/schemas/Book"}}}}
      responses: {"200": {description: A book.}}
    post:
      operationId: uploadBook
      requestBody: {required: true, content: {application/octet-stream: {}}}
      responses: {"200": {description: A book.}}
    delete:
      operationId: burnBook
      parameters: [{name: session, in: cookie, required: true, schema: {type: string}}]
      responses: {"200": {description: Ashes.}}
    options: {operationId: askBook, responses: {"200": {description: Ways.}}}
  /twice: {get: {operationId: twice, responses: {"200": {description: One.}}}, post: {operationId: twice, responses: {"200": {description: Two.}}}}
  /lost/{id}: {get: {operationId: lost, responses: {"200": {description: It.}}}}
  /matrix/{id}: {get: {operationId: matrix, parameters: [{name: id, in: path, required: true, style: matrix, schema: {type: string}}], responses: {"200": {description: It.}}}}
  /form: {post: {operationId: form, requestBody: {content: {application/x-www-form-urlencoded: {schema: {type: object, properties: {a: {type: string}}}}}}, responses: {"200": {description: It.}}}}
components:
  schemas:
    Book:
      type: object
      required: [id, title]
      properties:
        id: {type: string, readOnly: true}
        title: {type: string, nullable: true}
        sequels: {type: array, items: {$ref: "#/components/schemas/Book"}}
        author: {nullable: true, allOf: [{$ref: "#/components/schemas/Author"}]}
    Author: {type: object, additionalProperties: {type: string}, xml: {name: author}, x-order: 1}
`

func TestFromOpenAPI(t *testing.T) {
	document, err := ParseOpenAPI([]byte(library))
	if err != nil {
		t.Fatal(err)
	}

	base, _ := url.Parse("https://api.example.com/v2")

	for id, test := range map[string]struct{ input, arguments, want, body string }{
		"getBook": {
			`{"additionalProperties":false,"properties":{` +
				`"fields":{"items":{"type":"string"},"type":"array"},"filter":{"type":"object"},` +
				`"id":{"description":"The book.","type":"string"},` +
				`"query_id":{"enum":[2,3,null],"exclusiveMinimum":1,"type":["integer","null"]},"raw":{"type":"object"},` +
				`"trace":{"type":"string"}},"required":["id"],"type":"object"}`,
			`{"id":"a/b","query_id":2,"fields":["x","y"],"filter":{"a":1},"raw":{"b":[2]},"trace":"t"}`,
			"GET https://api.example.com/v2/books/a%2Fb?fields=x%2Cy&filter%5Ba%5D=1&id=2&raw=%7B%22b%22%3A%5B2%5D%7D trace: t", "",
		},
		"putBook": {
			`{"$defs":{"Author":{"additionalProperties":{"type":"string"},"type":"object"},` +
				`"Book":{"properties":{"author":{"anyOf":[{"allOf":[{"$ref":"#/$defs/Author"}]},{"type":"null"}]},` +
				`"sequels":{"items":{"$ref":"#/$defs/Book"},"type":"array"},"title":{"type":["string","null"]}},"required":["title"],"type":"object"}},` +
				`"additionalProperties":false,"properties":{"body":{"$ref":"#/$defs/Book"},"id":{"description":"The book.","type":"string"},` +
				`"trace":{"type":"string"}},"required":["id","body"],"type":"object"}`,
			`{"id":"1","body":{"title":null}}`, "PUT https://api.example.com/v2/books/1", `{"title":null}`,
		},
		"form": {
			`{"additionalProperties":false,"properties":{"body":{"properties":{"a":{"type":"string"}},"type":"object"}},"type":"object"}`,
			`{"body":{"a":"x y","b":[1,2],"c":{"d":3}}}`, "POST https://api.example.com/v2/form", `a=x+y&b=1&b=2&c=%7B%22d%22%3A3%7D`,
		},
	} {
		operation, err := document.Operation(id)
		if err != nil {
			t.Errorf("%s: %v", id, err)

			continue
		}

		if string(operation.Input) != test.input {
			t.Errorf("%s: input\n%s, want\n%s", id, operation.Input, test.input)
		}

		wantRequest(t, id, operation, base, test.arguments, "trace", test.want, test.body)
	}
}

func TestFromOpenAPIRefuses(t *testing.T) {
	document, err := ParseOpenAPI([]byte(library))
	if err != nil {
		t.Fatal(err)
	}

	for id, want := range map[string]string{
		"getBok":     `no operation "getBok"; it has askBook, burnBook, form, getBook`,
		"":           `no operation ""`,
		"twice":      "more than one operation",
		"askBook":    "a OPTIONS is no tool",
		"uploadBook": "its body is one of application/octet-stream, and Serin writes JSON and forms",
		"burnBook":   `its parameter "session" is required, and Serin sends none in cookie`,
		"lost":       "its path has {id}, of which no parameter speaks",
		"matrix":     `written in the style "matrix"`,
	} {
		if made, err := document.Operation(id); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v %v, want %q", id, made, err, want)
		}
	}

	for text, want := range map[string]string{
		"":                                   "want a document of OpenAPI 3.0 or 3.1",
		"[]":                                 "not readable as OpenAPI",
		"{":                                  "not readable as OpenAPI",
		`{"swagger":"2.0"}`:                  "want a document of OpenAPI 3.0 or 3.1",
		"openapi: 4.0.0\ninfo: {}":           "want a document of OpenAPI 3.0 or 3.1",
		refersTo("other.yaml#/Book"):         "external",
		refersTo("https://x.example/schema"): "external",
		refersTo("file:///etc/passwd"):       "external",
	} {
		if _, err := ParseOpenAPI([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

func refersTo(place string) string {
	return `{"openapi":"3.1.0","info":{"title":"t","version":"1"},"paths":{"/":{"get":{"operationId":"a",` +
		`"parameters":[{"name":"p","in":"query","schema":{"$ref":"` + place + `"}}],"responses":{}}}}}`
}
