package kube

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/serinhq/serin/mesh/controller"
	"github.com/serinhq/serin/mesh/controller/storetest"
)

// place is a cluster in which one controller follows another.
type place struct {
	*world

	lives int
}

func (p *place) Open(t *testing.T) controller.Store {
	t.Helper()

	p.lives++

	return newStore(p.config(fmt.Sprintf("controller-%d", p.lives)))
}

func TestStore(t *testing.T) {
	t.Run("in status", func(t *testing.T) {
		storetest.Run(t, func(t *testing.T) storetest.Place {
			t.Helper()

			return &place{world: newWorld(t, object("billing", "v1"), object("triage", "v1"))}
		})
	})
	t.Run("without agents", func(t *testing.T) {
		storetest.Run(t, func(t *testing.T) storetest.Place {
			t.Helper()

			return &place{world: newWorld(t)}
		})
	})
}

// TestAnOldLeaderWritesNothing lets a controller write that does not know that another leads.
func TestAnOldLeaderWritesNothing(t *testing.T) {
	for name, w := range map[string]*world{"in status": newWorld(t, object("billing", "v1")), "without agents": newWorld(t)} {
		t.Run(name, func(t *testing.T) {
			before, after := newStore(w.config("before")), newStore(w.config("after"))
			record := storetest.Record("billing")

			w.must(before.Save(t.Context(), record))

			if _, err := after.Load(t.Context()); err != nil {
				t.Fatal(err)
			}

			late := record
			late.State.Weight = 100

			if err := before.Save(t.Context(), late); !errors.Is(err, ErrOvertaken) || !strings.Contains(err.Error(), "after") {
				t.Errorf("the one before wrote: %v", err)
			}

			select {
			case <-before.Overtaken():
			default:
				t.Error("it does not know that it was overtaken")
			}

			kept, err := newStore(w.config("third")).Load(t.Context())
			if err != nil || len(kept) != 1 || kept[0].State.Weight != record.State.Weight {
				t.Errorf("kept: %+v, %v", kept, err)
			}
		})
	}
}

// TestAWriteWhoseAnswerWasLost is written again by the same controller.
func TestAWriteWhoseAnswerWasLost(t *testing.T) {
	w := newWorld(t, object("billing", "v1"))
	store := newStore(w.config("one"))

	w.must(store.Save(t.Context(), storetest.Record("billing")))

	known := store.document("billing")
	w.must(store.Save(t.Context(), storetest.Record("billing"), storetest.Entry(1)))
	store.remember("billing", known) // as if it had failed
	w.must(store.Save(t.Context(), storetest.Record("billing"), storetest.Entry(1)))

	if entries, err := store.History(t.Context(), "billing", 0, 10); err != nil || len(entries) != 1 {
		t.Errorf("history: %v, %v", entries, err)
	}
}

// TestDeletion holds an Agent until the controller is done with it, and remembers its counters after that.
func TestDeletion(t *testing.T) {
	w := newWorld(t, object("billing", "v1"))
	store := newStore(w.config("one"))

	w.must(store.Save(t.Context(), storetest.Record("billing")))
	w.must(w.client.Delete(t.Context(), w.get("billing")))

	if !controllerutil.ContainsFinalizer(w.get("billing"), Finalizer) {
		t.Fatal("nothing holds the agent")
	}

	gone := storetest.Record("billing")
	gone.Gone = true
	w.must(store.Save(t.Context(), gone))

	err := w.client.Get(t.Context(), client.ObjectKey{Namespace: testNamespace, Name: "billing"}, object("billing", ""))
	if !apierrors.IsNotFound(err) {
		t.Fatalf("the agent is held still: %v", err)
	}

	kept, err := newStore(w.config("two")).Load(t.Context())
	if err != nil || len(kept) != 1 || !kept[0].Gone || kept[0].State.Attempt != gone.State.Attempt {
		t.Errorf("kept: %+v, %v", kept, err)
	}

	// It comes back: the record moves into it again.
	again := newStore(w.config("three"))
	if _, err := again.Load(t.Context()); err != nil {
		t.Fatal(err)
	}

	w.must(w.client.Create(t.Context(), object("billing", "v2")))
	w.must(again.Save(t.Context(), storetest.Record("billing")))

	if w.get("billing").Status.Record == nil {
		t.Error("its record is not with it")
	}

	records := &corev1.ConfigMap{}
	w.must(w.client.Get(t.Context(), client.ObjectKey{Namespace: testNamespace, Name: recordsMap}, records))

	if len(records.Data) != 0 {
		t.Errorf("the old record stayed: %v", records.Data)
	}
}

// TestNewerRecordsAreRefused does not read what a newer Serin wrote.
func TestNewerRecordsAreRefused(t *testing.T) {
	if _, err := readDocument([]byte(`{"version":2}`)); err == nil || !strings.Contains(err.Error(), "version 2") {
		t.Errorf("got %v", err)
	}

	if _, err := readDocument([]byte(`{`)); err == nil {
		t.Error("nonsense was read")
	}
}

// TestTheRecordHasNoPrompt keeps an object small that has the prompt in its spec already.
func TestTheRecordHasNoPrompt(t *testing.T) {
	w := newWorld(t, object("billing", "v1"))
	store := newStore(w.config("one"))
	revision := storetest.Revision(t, "billing", strings.Repeat("You answer. ", 10_000))
	record := storetest.Record("billing")
	record.Declaration, record.Declared = revision.Declaration, revision.Name[:12]

	w.must(store.PutRevision(t.Context(), revision))
	w.must(store.Save(t.Context(), record))

	if size := len(w.get("billing").Status.Record.Raw); size > 4096 {
		t.Errorf("the record has %d bytes", size)
	}
}

// TestEventsTellOfDecisions tells each once, when it is kept.
func TestEventsTellOfDecisions(t *testing.T) {
	w := newWorld(t, object("billing", "v1"))
	store := newStore(w.config("one"))

	abort := storetest.Entry(2)
	abort.Action, abort.Reason = "abort", "3 of 50 turns failed"
	weight := storetest.Entry(3)
	weight.Action = "set-weight"

	w.must(store.Save(t.Context(), storetest.Record("billing"), abort, weight))
	w.must(store.Save(t.Context(), storetest.Record("billing")))
	close(w.events.Events)

	told := []string{}
	for event := range w.events.Events {
		told = append(told, event)
	}

	if len(told) != 2 || !strings.HasPrefix(told[0], "Warning Abort 3 of 50 turns failed") || !strings.HasPrefix(told[1], "Normal SetWeight") {
		t.Errorf("told: %q", told)
	}
}
