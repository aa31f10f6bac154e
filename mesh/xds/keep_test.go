package xds

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// kill ends a translator as kill -9 does, and makes the next one from what is on disk.
func kill(t *testing.T, dir string) (*translator, *keeper) {
	t.Helper()

	keeper, err := openKeeper(dir, slog.New(slog.NewTextHandler(t.Output(), nil)))
	if err != nil {
		t.Fatal(err)
	}

	translator := newTranslator(Options{})
	if err := keeper.restore(translator); err != nil {
		t.Fatal(err)
	}

	return translator, keeper
}

// What is in force after an object went bad or away is in force after a restart as well.
func TestLastGoodSurvivesARestart(t *testing.T) {
	base := billingEntry + workload("a", 1, true)
	policy := "\n---\nkind: AuthorizationPolicy\nmetadata: {name: billing}\nspec:\n  rules: [{from: [{source: {%: [a]}}]}]\n"

	for name, test := range map[string]struct{ before, after string }{
		"a rule that is deleted under its routes": {base + subsets("a") + split("a=100"), base + split("a=100")},
		"a subset that is still named":            {base + subsets("a", "b") + split("a=9 b=91"), base + subsets("a") + split("a=9 b=91")},
		"routes that name no subset":              {base + subsets("a") + split("a=100"), base + subsets("a") + split("a=90 c=10")},
		"routes that became invalid": {
			base + subsets("a") + split("a=100"),
			base + subsets("a") + strings.Replace(split("a=100"), "retries: {attempts: 0}\n    route", "mirror: {host: x}\n    route", 1),
		},
		"a policy that became invalid": {
			base + strings.Replace(policy, "%", "principals", 1), base + strings.Replace(policy, "%", "ipBlocks", 1),
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir, store := t.TempDir(), newMemory(parse(t, ""))

			first, keeper := kill(t, dir)
			before, problems := round(t, first, store, test.before)

			if problems != "" {
				t.Fatal(problems)
			}

			keeper.keep(first)

			// Killed before the change was seen, after it, and once more.
			for range 3 {
				translator, keeper := kill(t, dir)

				after, problems := round(t, translator, store, test.after)
				if problems == "" {
					t.Error("no problem")
				}

				same(t, before, after)
				keeper.keep(translator)
			}

			// With the problem, its files go.
			translator, keeper := kill(t, dir)
			round(t, translator, store, billingEntry)
			keeper.keep(translator)

			if files, err := os.ReadDir(filepath.Join(dir, keptDir)); err != nil || len(files) != 1 {
				t.Errorf("%v, %v; want that of the entry only", files, err)
			}
		})
	}
}

// Files that cannot be used are none, and make way for good ones.
func TestBadFilesOfWhatIsInForce(t *testing.T) {
	entry := `{"metadata": {"name": "x", "namespace": "default"}, "spec": {"hosts": ["x"], "http": [{"mirror": {"host": "y"}}]}}`

	for name, text := range map[string]string{
		"empty": "", "torn": `{"format": 1, "kind": "Virt`, "of a newer release": `{"format": 2, "kind": "VirtualService", "object": ` + entry + "}",
		"of an odd kind": `{"format": 1, "kind": "Gateway", "object": {}}`, "invalid by now": `{"format": 1, "kind": "VirtualService", "object": ` + entry + "}",
	} {
		t.Run(name, func(t *testing.T) {
			dir, store := t.TempDir(), newMemory(parse(t, ""))
			kill(t, dir)

			if err := os.WriteFile(filepath.Join(dir, keptDir, "x.json"), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}

			translator, keeper := kill(t, dir)
			if len(translator.last) != 0 {
				t.Errorf("last %v", translator.last)
			}

			round(t, translator, store, billing("a=100", "a"))
			keeper.keep(translator)

			if _, err := os.Stat(filepath.Join(dir, keptDir, "x.json")); !os.IsNotExist(err) {
				t.Errorf("the file is still there: %v", err)
			}
		})
	}
}

// Routes that were never good lead nowhere, rather than to every revision, and go on doing so.
func TestInvalidRoutesWithoutPastLeadNowhere(t *testing.T) {
	translator, store := newRound(t)
	invalid := strings.Replace(billing("a=100", "a"), "retries: {attempts: 0}\n    route", "mirror: {host: x}\n    route", 1)

	for range 3 {
		resources, problems := round(t, translator, store, invalid)

		for _, want := range []string{"spec.http[2].mirror: not supported", "spec.hosts: no earlier version of this was good: calls to billing fail until it is mended"} {
			if !strings.Contains(problems, want) {
				t.Errorf("problems %s, want %q", problems, want)
			}
		}

		routes := resources.Get(Routes, billingRoutes)
		if text := string(readable(t, routes)); len(routes.Needs) > 0 || strings.Contains(text, "route:") {
			t.Errorf("routes\n%s", text)
		}
	}

	if resources, problems := round(t, translator, store, billing("a=100", "a")); problems != "" || len(resources.Get(Routes, billingRoutes).Needs) != 1 {
		t.Errorf("mended: %s", problems)
	}
}

// The server keeps what it serves, and begins with what it kept.
func TestServerKeepsWhatIsInForce(t *testing.T) {
	dir := t.TempDir()
	serve := func(text string) Resources {
		store := newMemory(parse(t, ""))
		store.set(t, text)

		server, err := New(Config{Objects: store, Directory: dir})
		if err != nil {
			t.Fatal(err)
		}

		return server.world.Load().resources
	}

	good := serve(billing("a=100", "a"))
	same(t, good, serve(billing("a=100"))) // without the subset

	if _, err := New(Config{Objects: newMemory(parse(t, "")), Directory: "/dev/null"}); err == nil {
		t.Error("New() succeeded where nothing can be kept")
	}
}
