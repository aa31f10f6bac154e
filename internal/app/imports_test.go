package app_test

import (
	"os/exec"
	"strings"
	"testing"
)

const module = "github.com/serinhq/serin/"

// importRule says what packages below From must not import, and why.
type importRule struct {
	from    string
	allowed func(imported string) bool
	reason  string
}

func ours(prefixes ...string) func(string) bool {
	return func(imported string) bool {
		if !strings.HasPrefix(imported, module) {
			return true
		}

		return hasPrefix(strings.TrimPrefix(imported, module), prefixes...)
	}
}

// stdlib allows nothing but the standard library, the package itself, and what only tests import.
func stdlib(imported string) bool {
	first, _, _ := strings.Cut(imported, "/")

	return !strings.Contains(first, ".") || imported == module+"mesh/canary" || imported == "pgregory.net/rapid"
}

func hasPrefix(path string, prefixes ...string) bool {
	for _, prefix := range prefixes {
		if path == prefix || strings.HasPrefix(path, prefix+"/") {
			return true
		}
	}

	return false
}

var basics = []string{
	"gen", "internal/rpc", "internal/agentspec", "internal/health", "internal/drain", "internal/telemetry",
	"internal/fault", "internal/testenv", "internal/dialguard",
}

func room(name string) importRule {
	return importRule{
		from:    "services/" + name,
		allowed: ours(append([]string{"services/" + name}, basics...)...),
		reason:  "a room speaks to other rooms through gen, so that it can run in a process of its own",
	}
}

var importRules = []importRule{
	room("agent"), room("contextstore"), room("tools"), room("ambassador"), room("retriever"), room("configload"),
	{"gateway", ours("gateway", "gen", "internal"), "the door knows agents and the store by their protos only"},
	{"gen", ours("gen"), "generated code depends on nothing of ours"},
	{"loadtest", ours("loadtest", "gen", "internal/fault", "internal/telemetry", "internal/testenv"), "load is made from outside, as users make it"},
	{"internal/agentspec", ours("internal/agentspec", "internal/fault", "internal/testenv"), "the CRD embeds it: it must stay plain"},
	{"internal/fault", ours("internal/fault"), "everyone imports it"},
	{"internal/rpc", ours("internal", "gen"), "how servers are made does not depend on what they serve"},
	{"mesh/identity", ours("mesh/identity", "internal"), "certificates do not depend on rooms"},
	{"mesh/canary", stdlib, "a decision core has nothing to do with the world"},
	{"mesh/istio", ours("mesh/istio", "internal"), "it speaks to the Kubernetes API, whoever serves it"},
	{"mesh/xds", ours("mesh/xds", "mesh/identity", "internal"), "a control plane knows Istio's objects, not Serin's agents"},
	{
		"mesh/controller", ours("mesh/controller", "mesh/canary", "mesh/istio", "mesh/api", "gen", "internal"),
		"it reaches rooms through gen, and the mesh through Istio's objects, so that one loop serves a cluster too",
	},
	{"", func(imported string) bool { return imported != module+"internal/app" }, "only main may run the application"},
}

// kubernetes may be imported by few: everyone else would carry its weight into every process.
var kubernetes = []string{"mesh/api", "mesh/istio", "mesh/xds", "mesh/identity", "mesh/controller", "internal/app"}

func TestImportsFollowTheHouse(t *testing.T) {
	// Tests of the package itself count; tests from outside of it may need more of the house.
	output, err := exec.CommandContext(t.Context(), "go", "list", "-f",
		`{{.ImportPath}} {{join .Imports " "}} {{join .TestImports " "}}`, module+"...").CombinedOutput()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, output)
	}

	checked := 0

	for line := range strings.Lines(string(output)) {
		fields := strings.Fields(line)
		path := strings.TrimPrefix(fields[0], module)

		for _, imported := range fields[1:] {
			checked++
			checkImport(t, path, imported)
		}
	}

	if checked < 100 {
		t.Fatalf("only %d imports seen: the check itself is broken", checked)
	}
}

func checkImport(t *testing.T, path, imported string) {
	t.Helper()

	for _, rule := range importRules {
		isMain := path == strings.TrimSuffix(module, "/")
		applies := rule.from == "" && !isMain && path != "internal/app" || rule.from != "" && hasPrefix(path, rule.from)

		if applies && !rule.allowed(imported) {
			t.Errorf("%s imports %s: %s", path, imported, rule.reason)
		}
	}

	if (strings.HasPrefix(imported, "k8s.io/") || strings.HasPrefix(imported, "istio.io/")) && !hasPrefix(path, kubernetes...) {
		t.Errorf("%s imports %s: only %v may", path, imported, kubernetes)
	}
}
