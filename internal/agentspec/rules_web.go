package agentspec

import (
	"regexp"
	"slices"
	"strings"
)

// source checks that there is one way to reach the server, and nothing that only the other way has.
func (v *validator) source(spec *MCPServerSpec) {
	command, url := len(spec.Command) > 0, spec.URL != ""

	switch {
	case !command && !url:
		v.add("spec", "required: one of command, url")
	case command && url:
		v.add("spec", "want one of command and url, not both")
	}

	if len(spec.HTTP) > 0 && spec.OpenAPI != nil {
		v.add("spec", "want one of http and openapi, not both")
	}

	if len(spec.Env) > 0 && !command {
		v.add("spec.env", "has a meaning with command only")
	}

	for _, field := range []struct {
		name string
		set  bool
	}{{"headers", len(spec.Headers) > 0}, {"auth", spec.Auth != nil}, {"http", len(spec.HTTP) > 0}, {"openapi", spec.OpenAPI != nil}} {
		if field.set && !url {
			v.add("spec."+field.name, "has a meaning with url only")
		}
	}
}

var hostForm = regexp.MustCompile(`^[a-zA-Z0-9]([a-zA-Z0-9.-]*[a-zA-Z0-9])?(:[0-9]{1,5})?$`)

// web checks what is said of requests.
func (v *validator) web(spec *MCPServerSpec) {
	for i, header := range spec.Headers {
		if (header.Value != "") == (header.Env != "") {
			v.add(at("spec.headers", i), "want exactly one of value and env")
		}
	}

	if auth := spec.Auth; auth != nil {
		user, password := auth.UserEnv != "", auth.PasswordEnv != ""
		if bearer := auth.BearerEnv != ""; bearer && (user || password) || !bearer && (!user || !password) {
			v.add("spec.auth", "want bearerEnv alone, or userEnv and passwordEnv")
		}
	}

	if slices.ContainsFunc(spec.Redirects, func(host string) bool { return !hostForm.MatchString(host) }) {
		v.add("spec.redirects", "want a host, or host:port")
	}

	if api := spec.OpenAPI; api != nil && (api.File != "") == (api.Document != "") {
		v.add("spec.openapi", "want exactly one of file and document")
	}
}

// Variables are the environment variables that the server's headers and auth are read from, sorted.
func (s *MCPServerSpec) Variables() []string {
	names := []string{}

	for _, header := range s.Headers {
		names = append(names, header.Env)
	}

	if s.Auth != nil {
		names = append(names, s.Auth.BearerEnv, s.Auth.UserEnv, s.Auth.PasswordEnv)
	}

	slices.SortFunc(names, strings.Compare)

	return slices.DeleteFunc(slices.Compact(names), func(name string) bool { return name == "" })
}
