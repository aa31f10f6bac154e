package xds

import (
	"fmt"
	"strings"
	"testing"
)

const billingEntry = `
kind: ServiceEntry
metadata: {name: billing}
spec:
  hosts: [billing.default.svc.cluster.local]
  ports: [{number: 9000, name: grpc, protocol: GRPC}]
  location: MESH_INTERNAL
  resolution: STATIC
  workloadSelector: {labels: {app: billing}}
`

const billingRoutes = "outbound|9000||billing.default.svc.cluster.local"

// workload is a process of billing.
func workload(name string, port int, ready bool) string {
	return fmt.Sprintf(`
---
kind: WorkloadEntry
metadata: {name: billing-%s, annotations: {serin.dev/ready: "%t"}}
spec:
  address: 127.0.0.1
  ports: {grpc: %d}
  labels: {app: billing, rev: %s}
  serviceAccount: billing
`, name, ready, port, name)
}

// subsets is billing's rule.
func subsets(names ...string) string {
	text := "\n---\nkind: DestinationRule\nmetadata: {name: billing}\nspec:\n  host: billing\n  subsets:\n"
	for _, name := range names {
		text += "  - {name: " + name + ", labels: {rev: " + name + "}}\n"
	}

	return text
}

// split is billing's VirtualService: an anchor and a pin for each, then the weights, as in "a=90 b=10".
func split(weights string) string {
	text := "\n---\nkind: VirtualService\nmetadata: {name: billing}\nspec:\n  hosts: [billing]\n  http:\n"
	last := ""

	for pair := range strings.FieldsSeq(weights) {
		name, weight, _ := strings.Cut(pair, "=")
		to := "{destination: {host: billing, subset: " + name + "}"

		for _, header := range []string{"pin", "anchor"} {
			text += fmt.Sprintf("  - {match: [{headers: {%s: {exact: %s}}}], route: [%s}], retries: {attempts: 0}}\n", header, name, to)
		}

		last += "    - " + to + ", weight: " + weight + "}\n"
	}

	return text + "  - retries: {attempts: 0}\n    route:\n" + last
}

// round translates what a memory holds after a change.
func round(t *testing.T, translator *translator, store *memory, text string) (Resources, string) {
	t.Helper()
	store.set(t, text)

	resources, problems := translator.translate(store.Snapshot())

	lines := make([]string, len(problems))
	for i, problem := range problems {
		lines[i] = problem.String()
	}

	return resources, strings.Join(lines, "\n")
}

func newRound(t *testing.T) (*translator, *memory) {
	t.Helper()

	return newTranslator(Options{}), newMemory(parse(t, ""))
}

func TestOnlyWhatChangedIsMadeAnew(t *testing.T) {
	translator, store := newRound(t)
	base := billingEntry + workload("a", 1, true) + workload("b", 2, true) + subsets("a", "b")

	before, _ := round(t, translator, store, base+split("a=90 b=10"))
	after, problems := round(t, translator, store, base+split("a=50 b=50"))

	if problems != "" {
		t.Fatal(problems)
	}

	for kind := range Type(types) {
		for name, resource := range after[kind] {
			if same := resource == before.Get(kind, name); same == (kind == Routes) {
				t.Errorf("%s %s: the same is %t", kind, name, same)
			}
		}
	}
}

// A readiness change is a change of endpoints, and of nothing else.
func TestReadinessMovesEndpointsOnly(t *testing.T) {
	translator, store := newRound(t)

	before, _ := round(t, translator, store, billingEntry+workload("a", 1, true))
	after, _ := round(t, translator, store, billingEntry+workload("a", 1, false))

	for kind := range Type(types) {
		for name := range after[kind] {
			if same := after.version(kind, name) == before.version(kind, name); same == (kind == Endpoints) {
				t.Errorf("%s %s: the same is %t", kind, name, same)
			}
		}
	}
}

// What has a problem stays as it was last good; it is said why.
func TestLastGoodStays(t *testing.T) {
	base := billingEntry + workload("a", 1, true)

	for name, test := range map[string]struct{ before, after, problems string }{
		"a field that is not supported": {
			base + subsets("a", "b") + split("a=100"),
			base + subsets("a", "b") + strings.Replace(split("a=0 b=100"), "retries: {attempts: 0}\n    route", "mirror: {host: x}\n    route", 1),
			"VirtualService billing: spec.http[4].mirror: not supported: proxyless gRPC ignores it",
		},
		"routes that come before their subset": {
			base + subsets("a") + split("a=100"), base + subsets("a") + split("a=90 b=10"),
			`VirtualService billing: spec.http[2].route[0].destination: no DestinationRule of host billing.default.svc.cluster.local has a subset "b"`,
		},
		"a subset that goes before its routes": {
			base + subsets("a", "b") + split("a=90 b=10"), base + subsets("a") + split("a=90 b=10"),
			`DestinationRule billing: spec.subsets: "b" is still named by VirtualService default/billing: the last rule stays in force`,
		},
		"a rule that is deleted under its routes": {
			base + subsets("a") + split("a=100"), base + split("a=100"),
			`DestinationRule billing: spec.subsets: "a" is still named by VirtualService default/billing: the last rule stays in force`,
		},
		"both at once": {
			base + subsets("a", "b") + split("a=90 b=10"), base + subsets("a") + split("a=90 c=10"),
			`VirtualService billing: spec.http[2].route[0].destination: no DestinationRule of host billing.default.svc.cluster.local has a subset "c"`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			translator, store := newRound(t)
			before, problems := round(t, translator, store, test.before)

			if problems != "" {
				t.Fatal(problems)
			}

			after, problems := round(t, translator, store, test.after)
			if !strings.HasPrefix(problems, test.problems) {
				t.Errorf("problems\n%s\nwant\n%s", problems, test.problems)
			}

			same(t, before, after)

			// It stays so however often it is looked at, and ends with the problem.
			again, _ := round(t, translator, store, test.after+" ")
			same(t, before, again)

			if _, problems := round(t, translator, store, test.before); problems != "" {
				t.Error(problems)
			}
		})
	}
}

func same(t *testing.T, want, got Resources) {
	t.Helper()

	for kind := range Type(types) {
		for name := range want[kind] {
			if want.version(kind, name) != got.version(kind, name) {
				t.Errorf("%s %s is not what it was", kind, name)
			}
		}
	}
}

// With nothing good to go back to, what is whole works and what leads nowhere does not.
func TestGapWithoutPast(t *testing.T) {
	resources, problems := translateOnce(parse(t, billingEntry+subsets("a")+split("a=90 b=10")))
	if len(problems) != 3 {
		t.Errorf("problems %v, want one for each route to b", problems)
	}

	needs := resources.Get(Routes, billingRoutes).Needs
	if len(needs) != 2 || resources.Get(Cluster, needs[0]) == nil || resources.Get(Cluster, needs[1]) != nil {
		t.Errorf("needs %v, want a, which is there, and b, which is not", needs)
	}
}

// Two objects for one host: the older one holds it.
func TestOldestClaimWins(t *testing.T) {
	other := strings.Replace(split("a=100"), "name: billing}", "name: zbilling, creationTimestamp: 2026-01-02T00:00:00Z}", 1)
	first := strings.Replace(split("b=100"), "name: billing}", "name: billing, creationTimestamp: 2026-01-03T00:00:00Z}", 1)
	resources, problems := translateOnce(parse(t, billingEntry+subsets("a", "b")+first+other))

	if len(problems) != 1 || !strings.Contains(problems[0].String(), "belongs to VirtualService default/zbilling already") {
		t.Errorf("problems %v", problems)
	}

	if needs := resources.Get(Routes, billingRoutes).Needs; len(needs) != 1 || !strings.Contains(needs[0], "|a|") {
		t.Errorf("needs %v", needs)
	}
}

// A process that is gone and one that took its port are one address: clients refuse doubles.
func TestOneAddressOneEndpoint(t *testing.T) {
	stale := strings.Replace(workload("a", 1, true), "name: billing-a,", "name: billing-a, creationTimestamp: 2026-01-02T00:00:00Z,", 1)
	fresh := strings.Replace(workload("b", 1, true), "name: billing-b,", "name: billing-b, creationTimestamp: 2026-01-03T00:00:00Z,", 1)
	resources, _ := translateOnce(parse(t, billingEntry+subsets("a", "b")+stale+fresh))

	for subset, want := range map[string]int{"": 1, "a": 0, "b": 1} {
		text := string(readable(t, resources.Get(Endpoints, clusterName("billing.default.svc.cluster.local", 9000, subset))))
		if got := strings.Count(text, "portValue"); got != want {
			t.Errorf("subset %q has %d endpoints, want %d", subset, got, want)
		}
	}
}

// A service that nobody serves yet trusts nobody, rather than everybody.
func TestServiceWithoutWorkloadsTrustsNobody(t *testing.T) {
	resources, _ := translateOnce(parse(t, billingEntry))

	if text := string(readable(t, resources.Get(Cluster, billingRoutes))); !strings.Contains(text, nobody) {
		t.Error(text)
	}
}

func BenchmarkWeightChange(b *testing.B) {
	translator, store := newTranslator(Options{}), newMemory(parse(b, ""))
	base := ""

	for i := range 50 {
		one := billingEntry + workload("a", 2*i+1, true) + workload("b", 2*i+2, true) + subsets("a", "b")
		if i > 0 {
			one += split("a=90 b=10")
		}

		base += strings.ReplaceAll(one, "billing", fmt.Sprintf("billing%d", i)) + "\n---\n"
	}

	store.set(b, base+strings.ReplaceAll(split("a=90 b=10"), "billing", "billing0"))
	first := store.Snapshot()
	store.set(b, base+strings.ReplaceAll(split("a=50 b=50"), "billing", "billing0"))
	second := store.Snapshot()

	b.ReportAllocs()

	for b.Loop() {
		translator.translate(first)
		translator.translate(second)
	}
}

// A destination that names no port needs the port on which it is called, or has only one.
func TestGapsOfPorts(t *testing.T) {
	other := strings.ReplaceAll(strings.Replace(billingEntry, "ports: [", "ports: [{number: 1, name: a, protocol: GRPC}, ", 1), "billing", "other")
	routes := "\n---\nkind: VirtualService\nmetadata: {name: billing}\nspec: {hosts: [billing], http: [{route: [{destination: {host: other%s}}]}]}\n"

	for port, want := range map[string]string{
		"": "", ", port: {number: 1}": "", ", port: {number: 2}": "has not all of the ports [2]",
	} {
		_, problems := translateOnce(parse(t, billingEntry+"\n---\n"+other+fmt.Sprintf(routes, port)))
		if got := fmt.Sprint(problems); (len(problems) > 0) != (want != "") || !strings.Contains(got, want) {
			t.Errorf("%q: %s, want %q", port, got, want)
		}
	}

	without := strings.Replace(other, "number: 9000", "number: 2", 1)
	if _, problems := translateOnce(parse(t, billingEntry+"\n---\n"+without+fmt.Sprintf(routes, ""))); len(problems) != 1 {
		t.Errorf("no such port: %v", problems)
	}
}

// Routes are made from the rules of where they lead, too: these are in force once the routes are known.
func TestRoutesNameTheirOrigins(t *testing.T) {
	other := strings.ReplaceAll(billingEntry, "billing", "other") + strings.ReplaceAll(subsets("a"), "billing", "other")
	virtual := "\n---\nkind: VirtualService\nmetadata: {name: billing}\nspec: {hosts: [billing], http: [{route: [{destination: {host: other, subset: a}}]}]}\n"
	resources, problems := translateOnce(parse(t, billingEntry+subsets("a")+virtual+"\n---\n"+other))

	want := "[ServiceEntry default/billing DestinationRule default/billing VirtualService default/billing ServiceEntry default/other DestinationRule default/other]"
	if got := fmt.Sprint(resources.Get(Routes, billingRoutes).Origins); got != want || len(problems) > 0 {
		t.Errorf("origins %s, problems %v", got, problems)
	}
}
