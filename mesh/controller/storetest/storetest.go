// Package storetest is what every controller.Store does, as tests.
package storetest

import (
	"reflect"
	"strconv"
	"testing"
	"time"

	"github.com/serinhq/serin/internal/agentspec"
	"github.com/serinhq/serin/internal/fault"
	"github.com/serinhq/serin/mesh/canary"
	"github.com/serinhq/serin/mesh/controller"
)

var noon = time.Date(2026, 11, 24, 12, 0, 0, 123456789, time.UTC)

// Place is where a store keeps what it is given.
type Place interface {
	// Open makes a store that goes on with what the one before has kept. That one is not used any more.
	Open(t *testing.T) controller.Store
}

// Run tests the stores that makes places.
func Run(t *testing.T, places func(t *testing.T) Place) {
	t.Helper()

	for name, test := range map[string]func(*testing.T, Place){
		"records": records, "history": history, "revisions": revisions, "servers": servers, "record with a prompt": prompt,
	} {
		t.Run(name, func(t *testing.T) { test(t, places(t)) })
	}
}

// Record is a record that has something of everything.
func Record(agent string) controller.Record {
	return controller.Record{
		Agent: agent, Declaration: "{}", Declared: "b", Position: 7, RemovedAt: noon, Orphans: []string{"z"},
		Slots: map[string]string{"a": "stable"},
		State: canary.State{
			Agent: agent, Phase: canary.Progressing, Attempt: 2, Seq: 9, Stable: "a", Candidate: "b", Weight: 5, Since: noon,
			Plan:        canary.Plan{Steps: []int{5, 100}, Pause: time.Minute},
			Rejected:    map[string]int64{"c": 1},
			Leaving:     []canary.Leaving{{Revision: "d", Since: noon, Successor: "a"}},
			Withdrawals: []canary.Withdrawal{{Revision: "d", Replacement: "a", Attempt: 2, Cause: "aborted"}},
		},
	}
}

// Entry is the n-th entry of a history.
func Entry(n int) controller.HistoryEntry {
	return controller.HistoryEntry{
		Time: noon.Add(time.Duration(n)), Actor: "acme/ada", Action: "step", Reason: strconv.Itoa(n), Attempt: 1,
		Before: controller.Snapshot{Phase: canary.Preparing, Stable: "a", Candidate: "b"},
		After:  controller.Snapshot{Phase: canary.Progressing, Stable: "a", Candidate: "b", Weight: 5},
	}
}

// Revision is the revision of an agent with a prompt.
func Revision(t *testing.T, agent, prompt string) controller.Revision {
	t.Helper()

	declared := agentspec.Agent{
		APIVersion: agentspec.APIVersion, Kind: agentspec.KindAgent, Metadata: agentspec.Metadata{Name: agent},
		Spec: agentspec.AgentSpec{Description: "Answers.", Prompt: agentspec.Prompt{Inline: prompt}},
	}

	data, err := agentspec.MarshalResolved(declared)
	if err != nil {
		t.Fatal(err)
	}

	return controller.Revision{Agent: agent, Name: agentspec.Revision(declared), Declaration: string(data)}
}

// resized is the same revision, declared with another size.
func resized(t *testing.T, revision controller.Revision) controller.Revision {
	t.Helper()

	declared, err := agentspec.UnmarshalResolved([]byte(revision.Declaration))
	must(t, err)

	declared.Spec.Scaling.MaxConcurrentSegments = 3
	data, err := agentspec.MarshalResolved(declared)
	must(t, err)

	if name := agentspec.Revision(declared); name != revision.Name || string(data) == revision.Declaration {
		t.Fatalf("%s is not %s with another size", name, revision.Name)
	}

	revision.Declaration = string(data)

	return revision
}

func must(t *testing.T, err error) {
	t.Helper()

	if err != nil {
		t.Fatal(err)
	}
}

func records(t *testing.T, place Place) {
	t.Helper()

	store := place.Open(t)
	for _, agent := range []string{"triage", "billing", "billing"} {
		must(t, store.Save(t.Context(), Record(agent)))
	}

	for range 2 {
		got, err := place.Open(t).Load(t.Context())
		if err != nil || !reflect.DeepEqual(got, []controller.Record{Record("billing"), Record("triage")}) {
			t.Errorf("got %+v, %v", got, err)
		}
	}
}

func history(t *testing.T, place Place) {
	t.Helper()

	store := place.Open(t)
	for n := range 10 {
		must(t, store.Save(t.Context(), Record("billing"), Entry(2*n), Entry(2*n+1)))
	}

	must(t, store.Save(t.Context(), Record("triage"), Entry(99)))
	pages(t, store)

	again := place.Open(t)
	if _, err := again.Load(t.Context()); err != nil {
		t.Fatal(err)
	}

	pages(t, again)
}

// pages reads the history of billing newest first.
func pages(t *testing.T, store controller.Store) {
	t.Helper()

	want, before := 19, int64(0)

	for want >= 0 {
		page, err := store.History(t.Context(), "billing", before, 7)
		if err != nil || len(page) == 0 {
			t.Fatalf("a page of %v, %v", page, err)
		}

		for _, got := range page {
			before = got.ID
			got.ID = 0

			if !reflect.DeepEqual(got, Entry(want)) {
				t.Errorf("got %+v, want %+v", got, Entry(want))
			}

			want--
		}
	}
}

// revisions are kept as long as the record or the history names them.
func revisions(t *testing.T, place Place) {
	t.Helper()

	store := place.Open(t)
	all := map[string]controller.Revision{}

	for _, letter := range []string{"a", "b", "c", "d", "e", "f"} {
		all[letter] = Revision(t, "billing", letter)
		for range 2 {
			must(t, store.PutRevision(t.Context(), all[letter]))
		}

		must(t, store.PutRevision(t.Context(), resized(t, all[letter])))
	}

	short := func(letter string) string { return agentspec.Short(all[letter].Name) }

	kept := Record("billing")
	kept.Declared, kept.State = "", canary.State{
		Stable: short("a"), Rejected: map[string]int64{short("b"): 1}, Leaving: []canary.Leaving{{Revision: short("c")}},
	}
	told := Entry(1)
	told.After.Stable, told.After.Candidate = short("d"), short("e")

	must(t, store.Save(t.Context(), kept, told))

	again := place.Open(t)

	for _, letter := range []string{"a", "b", "c", "d", "e"} {
		for _, by := range []string{all[letter].Name, short(letter)} {
			if got, err := again.GetRevision(t.Context(), "billing", by); err != nil || got != all[letter] {
				t.Errorf("%s is %v, %v", by, got, err)
			}
		}
	}

	for agent, by := range map[string]string{"billing": all["f"].Name, "triage": all["a"].Name} {
		if _, err := again.GetRevision(t.Context(), agent, by); !fault.Is(err, "REVISION_UNKNOWN") {
			t.Errorf("%s %s: %v", agent, by, err)
		}
	}
}

func servers(t *testing.T, place Place) {
	t.Helper()

	store := place.Open(t)

	if got, err := store.LoadServers(t.Context()); err != nil || len(got) != 0 {
		t.Errorf("servers before any: %v, %v", got, err)
	}

	for _, servers := range [][]string{{"x"}, {"b", "a"}} {
		must(t, store.SaveServers(t.Context(), servers))
	}

	if got, err := place.Open(t).LoadServers(t.Context()); err != nil || !reflect.DeepEqual(got, []string{"b", "a"}) {
		t.Errorf("servers: %v, %v", got, err)
	}
}

// prompt keeps a declaration whole, whatever of it is in a revision too.
func prompt(t *testing.T, place Place) {
	t.Helper()

	store := place.Open(t)
	revision := Revision(t, "billing", "You answer.")
	kept := Record("billing")
	kept.Declaration, kept.Declared = revision.Declaration, agentspec.Short(revision.Name)

	must(t, store.PutRevision(t.Context(), revision))
	must(t, store.Save(t.Context(), kept))

	got, err := place.Open(t).Load(t.Context())
	if err != nil || !reflect.DeepEqual(got, []controller.Record{kept}) {
		t.Errorf("got %+v, %v", got, err)
	}
}
