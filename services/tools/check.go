package tools

import (
	"net/netip"
	"net/url"
	"strings"

	"github.com/serinhq/serin/internal/agentspec"
	"github.com/serinhq/serin/internal/dialguard"
)

// Check returns what is wrong with a valid declaration that only who runs it can see, by field: schemas and documents that
// can't be read, arguments that go nowhere, and addresses that would be refused.
func Check(server *agentspec.MCPServer) agentspec.Problems {
	spec := &server.Spec
	if spec.URL == "" {
		return nil
	}

	problems := checkAddress(spec)

	if len(spec.HTTP) > 0 || spec.OpenAPI != nil {
		made := &api{name: server.Metadata.Name}
		problems = append(problems, made.read(spec)...)
	}

	return problems
}

// checkAddress looks at hosts that are written as addresses; what names mean is known when they are dialled.
func checkAddress(spec *agentspec.MCPServerSpec) agentspec.Problems {
	parsed, err := url.Parse(spec.URL)
	if err != nil || parsed.Hostname() == "" {
		return agentspec.Problems{{Field: "spec.url", Message: "not a URL with a host"}}
	}

	host := strings.ToLower(strings.TrimSuffix(parsed.Hostname(), "."))
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		host = "127.0.0.1"
	}

	address, err := netip.ParseAddr(host)
	if err != nil {
		return nil //nolint:nilerr // a name: what it means is known when it is dialled
	}

	if reason := (dialguard.Guard{AllowPrivate: spec.AllowPrivate}).Refuses(address); reason != "" {
		return agentspec.Problems{{Field: "spec.url", Message: parsed.Hostname() + " is " + reason}}
	}

	return nil
}
