package v1alpha1

import (
	"fmt"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/serinhq/serin/internal/agentspec"
)

// A sample is a value for a field; whether it is right is for agentspec to say.
type sample struct {
	path  string
	value any // nil takes the field away
}

// TestRulesSayWhatTheTagsSay walks the tags of agentspec, and for each tries values at its limit, beyond it and of the
// wrong form. An API server and agentspec must refuse the same ones, in the same words.
func TestRulesSayWhatTheTagsSay(t *testing.T) {
	full := documents(t, "../../../internal/agentspec/testdata/full.yaml")
	agent, server := full[0], full[3]

	data, err := os.ReadFile("../../../internal/agentspec/testdata/full.yaml")
	if err != nil {
		t.Fatal(err)
	}

	parts := separator.Split(string(data), -1)
	otherAgents, otherServer := strings.Join(parts[1:], "\n---\n"), strings.Join(parts[:3], "\n---\n")

	configured := deep(agent).(map[string]any)
	set(configured, "spec.prompt", map[string]any{"configMapKeyRef": map[string]any{"name": "n", "key": "k"}, "digest": "sha256:0"})

	walkTags(reflect.TypeFor[agentspec.AgentSpec](), "spec", func(s sample) {
		base := agent
		if strings.HasPrefix(s.path, "spec.prompt.configMapKeyRef") {
			base = configured
		}

		compare(t, loadOnce(t, "agents"), base, s, otherAgents)
	})
	walkTags(reflect.TypeFor[agentspec.MCPServerSpec](), "spec", func(s sample) {
		base := server

		for field, with := range map[string]map[string]any{
			"spec.url": full[4], "spec.headers": full[4], "spec.auth": full[4], "spec.redirects": full[4],
			"spec.allowPrivate": full[4], "spec.http": full[5], "spec.openapi": full[6],
		} {
			if strings.HasPrefix(s.path, field) {
				base = with
			}
		}

		compare(t, loadOnce(t, "mcpservers"), base, s, otherServer)
	})

	for _, name := range []string{"serin-a", "A", "a.b", strings.Repeat("a", 40), strings.Repeat("a", 41), "9a", "a-"} {
		compare(t, loadOnce(t, "agents"), agent, sample{"metadata.name", name}, otherAgents)
		compare(t, loadOnce(t, "mcpservers"), server, sample{"metadata.name", name}, otherServer)
	}
}

var loaded = map[string]*crd{}

func loadOnce(t *testing.T, plural string) *crd {
	t.Helper()

	if loaded[plural] == nil {
		loaded[plural] = loadCRD(t, plural)
	}

	return loaded[plural]
}

// compare puts a value into an object and compares what both say of it.
func compare(t *testing.T, kind *crd, base map[string]any, s sample, others string) {
	t.Helper()

	object := deep(base).(map[string]any)
	set(object, s.path, s.value)

	shown := fmt.Sprintf("%s = %.60v", s.path, s.value)
	theirs := there(t, kind, object)
	ours := slices.DeleteFunc(here(t, object, others), forTheController)
	said := slices.DeleteFunc(slices.Clone(ours), func(problem refusal) bool { return !says(theirs, problem) })

	switch {
	case slices.ContainsFunc(ours, func(problem refusal) bool { return strings.HasPrefix(problem.words, "more than 1048576 bytes") }):
		// Files have a limit of their own.
	case len(ours) == 0 && len(theirs) > 0:
		t.Errorf("%s: agentspec says nothing, an API server %v", shown, theirs)
	case len(said) == len(ours), len(said) > 0 && keepsRulesOut(theirs):
	default:
		t.Errorf("%s: agentspec says %+v, an API server %v", shown, ours, theirs)
	}
}

// forTheController reports whether a problem is about something else than the object, which an API server does not look
// at: about other objects, about what a ConfigMap holds, or about what only one machine lacks.
func forTheController(problem refusal) bool {
	return strings.HasPrefix(problem.words, "no MCPServer") || strings.HasPrefix(problem.words, "no agent") ||
		strings.HasPrefix(problem.words, "only a cluster has ConfigMaps") || strings.Contains(problem.words, "is declared, and the prompt's is")
}

// walkTags visits samples for every field of a struct, through structs, and through the first entries of lists.
func walkTags(t reflect.Type, path string, visit func(sample)) {
	for f := range t.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		field, kind := path+"."+name, f.Type

		if kind.Kind() == reflect.Pointer {
			kind = kind.Elem()
		}

		if f.Tag.Get("required") == "true" {
			visit(sample{field, nil})
		}

		switch {
		case kind == reflect.TypeFor[agentspec.Object]():
			visit(sample{field, []any{}})
			visit(sample{field, map[string]any{"any": map[string]any{"thing": int64(1)}}})
		case kind == reflect.TypeFor[agentspec.Duration]():
			durations(field, f.Tag, visit)
		case kind.Kind() == reflect.Struct:
			walkTags(kind, field, visit)
		case kind.Kind() == reflect.Slice && kind.Elem().Kind() == reflect.Struct:
			walkTags(kind.Elem(), field+"[0]", visit)
		case kind.Kind() == reflect.Map && kind.Elem().Kind() == reflect.Struct:
			walkTags(kind.Elem(), field+".buy", visit)
		case kind.Kind() == reflect.Slice, kind.Kind() == reflect.Map:
			collections(field, kind, f.Tag, visit)
		case kind.Kind() == reflect.String:
			texts(field, f.Tag, visit)
		default:
			numbers(field, kind, f.Tag, visit)
		}
	}
}

func durations(field string, tag reflect.StructTag, visit func(sample)) {
	low, _ := time.ParseDuration(tag.Get("min"))
	high, _ := time.ParseDuration(tag.Get("max"))

	for _, d := range []time.Duration{low, high, low - 1, high + time.Second, -low} {
		visit(sample{field, d.String()})
	}

	for _, text := range []string{"", "0", "0s", "soon", "1d", "1 h", "+2m", ".5h", "1.h", "9999999h", tag.Get("min"), tag.Get("max")} {
		visit(sample{field, text})
	}

	visit(sample{field, int64(30)})
}

func numbers(field string, kind reflect.Type, tag reflect.StructTag, visit func(sample)) {
	visit(sample{field, "text"})

	if tag.Get("max") == "" {
		return
	}

	low, _ := strconv.ParseFloat(tag.Get("min"), 64)
	high, _ := strconv.ParseFloat(tag.Get("max"), 64)

	for _, n := range []float64{low, high, low - 1, high + 1, 0} {
		if kind.Kind() == reflect.Float64 {
			visit(sample{field, n})
		} else {
			visit(sample{field, int64(n)})
		}
	}
}

func texts(field string, tag reflect.StructTag, visit func(sample)) {
	for _, text := range []string{
		"", "!", "a", "Aä b", strings.Repeat("a", 65), "x\ny", `"`, "a'b", "0", "0.25", "1.2345678", "00", "(", "server_*", "clok",
		"shop_buy", "always", "sha256:" + strings.Repeat("0", 64), "n@sha256:" + strings.Repeat("f", 64), "serin-x", "a.b", "a/b",
	} {
		visit(sample{field, text})
	}

	visit(sample{field, int64(1)})

	if most, err := strconv.Atoi(tag.Get("max")); err == nil {
		visit(sample{field, strings.Repeat("a", most)})
		visit(sample{field, strings.Repeat("a", most+1)})
		visit(sample{field, strings.Repeat("ä", most/2+1)})
	}
}

func collections(field string, kind reflect.Type, tag reflect.StructTag, visit func(sample)) {
	entries := [][]any{{}, {""}, {" "}, {"a"}, {"a", "a"}, {int64(1)}}
	if most, err := strconv.Atoi(tag.Get("items")); err == nil {
		entries = append(entries, []any{strings.Repeat("a", most)}, []any{strings.Repeat("a", most+1)}, []any{strings.Repeat("ä", most/2+1)})
	}

	if most, err := strconv.Atoi(tag.Get("max")); err == nil {
		entries = append(entries, many(most), many(most+1))
	}

	if kind.Elem().Kind() == reflect.Int32 {
		entries = [][]any{{}, {int64(100)}, {int64(0), int64(100)}, {int64(50), int64(20), int64(100)}, {int64(5)}, {int64(101)}, {int64(5), int64(5), int64(100)}}
	}

	for _, list := range entries {
		if kind.Kind() == reflect.Slice {
			visit(sample{field, list})

			continue
		}

		mapping := map[string]any{}
		for i, value := range list {
			mapping[fmt.Sprint("n", i)] = value
		}

		visit(sample{field, mapping})
	}
}

func many(n int) []any {
	list := make([]any, n)
	for i := range list {
		list[i] = fmt.Sprint("n", i)
	}

	return list
}

// set puts a value where a path leads: a.b[0].c.
func set(object map[string]any, path string, value any) {
	var at any = object

	steps := strings.Split(strings.ReplaceAll(path, "[0]", ".0"), ".")
	for i, step := range steps {
		last := i == len(steps)-1

		switch inner := at.(type) {
		case []any:
			at = inner[0]
		case map[string]any:
			switch {
			case last && value == nil:
				delete(inner, step)
			case last:
				inner[step] = value
			default:
				at = inner[step]
			}
		}
	}
}
