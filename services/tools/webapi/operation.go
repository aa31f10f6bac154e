// Package webapi makes tools of the requests that an HTTP API knows: [FromHTTP] of those that a declaration describes
// itself, [FromOpenAPI] of those that a document does. An [Operation] turns arguments into a request and the answer into
// a text. It reaches nobody itself.
package webapi

import (
	"encoding/json"
	"net/http"
)

// Where an argument goes.
const (
	inPath   = "path"
	inQuery  = "query"
	inHeader = "header"
	inBody   = "body"
)

// Operation is a request that is a tool.
type Operation struct {
	// Name and Description are what models know it by.
	Name, Description string
	// Method is in upper case.
	Method string
	// Input is the JSON Schema of the arguments, Output that of the answer; empty if nothing is promised.
	Input, Output json.RawMessage

	path       template
	parameters []parameter
	body       body
}

// parameter is where one argument goes. The style is OpenAPI's, of how a list or object is written.
type parameter struct {
	argument, in, name, style string
	explode                   bool
}

// body is what the request carries.
type body struct {
	// kind is its media type; empty if there is no body.
	kind string
	// argument is the one that is all of it; empty if it is an object of the arguments that go nowhere else.
	argument string
}

// The media types of bodies that can be written.
const (
	kindJSON = "application/json"
	kindForm = "application/x-www-form-urlencoded"
)

// IsSafe reports whether the request may be sent again: it changes nothing.
func (o *Operation) IsSafe() bool { return o.Method == http.MethodGet || o.Method == http.MethodHead }

// hasBody reports whether requests of a method carry one.
func hasBody(method string) bool {
	return method == http.MethodPost || method == http.MethodPut || method == http.MethodPatch
}

// parameterOf returns where an argument goes that has a place of its own.
func (o *Operation) parameterOf(argument string) (parameter, bool) {
	for _, each := range o.parameters {
		if each.argument == argument {
			return each, true
		}
	}

	return parameter{}, false
}

// rest is the place of arguments that have none of their own.
func (o *Operation) rest(argument string) parameter {
	if o.body.kind != "" {
		return parameter{argument: argument, in: inBody, name: argument}
	}

	return parameter{argument: argument, in: inQuery, name: argument, style: styleForm, explode: true}
}
