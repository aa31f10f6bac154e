package objects

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// journaled is a store whose journal the test has its hands on.
type journaled struct {
	t     *testing.T
	dir   string
	store *Store
}

func openAt(t *testing.T, dir string) *journaled {
	t.Helper()

	store, err := Open(Config{Dir: dir, Now: func() time.Time { return time.Unix(1, 0) }})
	if err != nil {
		t.Fatal(err)
	}

	t.Cleanup(func() { _ = store.Close() })

	return &journaled{t, dir, store}
}

func (j *journaled) kind() *kind { return j.store.kinds[WorkloadEntry] }

// put creates an entry, or gives it another address.
func (j *journaled) put(name, address string) {
	j.t.Helper()

	d := draft{Spec: map[string]any{"address": address}}
	d.Meta.Name, d.Meta.Labels = name, map[string]string{"at": address}
	at := target{kind: j.kind(), key: key{"default", name}}

	_, err := j.store.update(at, func(before *object) (draft, error) {
		d.Meta.ResourceVersion = before.typed.GetResourceVersion()

		return d, nil
	})
	if err != nil {
		_, err = j.store.create(at, d)
	}

	if err != nil {
		j.t.Fatal(err)
	}
}

func (j *journaled) remove(name string) {
	j.t.Helper()

	if _, _, err := j.store.remove(target{kind: j.kind(), key: key{"default", name}}, nil); err != nil {
		j.t.Fatal(err)
	}
}

// state is all objects as text.
func (j *journaled) state() string {
	j.t.Helper()

	text, err := json.Marshal(j.store.Snapshot().WorkloadEntries)
	if err != nil {
		j.t.Fatal(err)
	}

	return fmt.Sprint(j.store.state.version, string(text))
}

func (j *journaled) text() []byte {
	j.t.Helper()

	text, err := os.ReadFile(filepath.Join(j.dir, journalFile))
	if err != nil {
		j.t.Fatal(err)
	}

	return text
}

// told is a state, and the size of the journal when it was acknowledged.
type told struct {
	size  int
	state string
}

// someHistory makes a journal, and says what was acknowledged when.
func someHistory(t *testing.T) (text []byte, states []told) {
	t.Helper()

	j := openAt(t, t.TempDir())
	note := func() { states = append(states, told{len(j.text()), j.state()}) }

	note()

	for _, write := range []func(){
		func() { j.put("a", "127.0.0.1") },
		func() { j.put("b", "127.0.0.2") },
		func() { j.put("a", "127.0.0.3") },
		func() { j.remove("b") },
	} {
		write()
		note()
	}

	return j.text(), states
}

func TestJournalCutAnywhere(t *testing.T) {
	text, states := someHistory(t)
	dir := t.TempDir()

	for size := states[0].size; size <= len(text); size++ {
		var want told
		for _, state := range states {
			if state.size <= size {
				want = state
			}
		}

		for _, garbage := range []string{"", "00000000 {\"version\"", "\x00\x00\x00"} {
			if err := os.WriteFile(filepath.Join(dir, journalFile), append(text[:size:size], garbage...), 0o600); err != nil {
				t.Fatal(err)
			}

			checkRecovered(t, dir, want, size)
		}
	}
}

// checkRecovered opens a journal that was cut: what was acknowledged is there, and what is written now stays.
func checkRecovered(t *testing.T, dir string, want told, size int) {
	t.Helper()

	j := openAt(t, dir)
	if got := j.state(); got != want.state {
		t.Fatalf("cut at byte %d: got %s, want %s", size, got, want.state)
	}

	j.put("c", "127.0.0.4")
	written := j.state()

	if err := j.store.Close(); err != nil {
		t.Fatal(err)
	}

	again := openAt(t, dir)
	if got := again.state(); got != written {
		t.Fatalf("cut at byte %d and written to: got %s, want %s", size, got, written)
	}

	if err := again.store.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestJournalDamagedAnywhere(t *testing.T) {
	text, states := someHistory(t)
	last := states[len(states)-2]
	newline := len(text) - 1 // without it, the last line looks as if it had been cut off

	for i := range text {
		damaged := bytes.Clone(text)
		damaged[i] ^= 0x11
		dir := t.TempDir()

		if err := os.WriteFile(filepath.Join(dir, journalFile), damaged, 0o600); err != nil {
			t.Fatal(err)
		}

		store, err := Open(Config{Dir: dir})

		switch {
		case i != newline && err == nil:
			t.Errorf("damage at byte %d of %d was not seen", i, len(text))
		case err == nil:
			j := &journaled{t, dir, store}
			if got := j.state(); got != last.state {
				t.Errorf("damage at byte %d: got %s", i, got)
			}
		case !strings.Contains(err.Error(), journalFile):
			t.Errorf("the error does not name the file: %v", err)
		}

		if store != nil {
			_ = store.Close()
		}
	}
}

func TestFailedWriteIsNotTold(t *testing.T) {
	j := openAt(t, t.TempDir())
	j.put("a", "127.0.0.1")
	before := j.state()

	good := j.store.journal.file

	bad, err := os.Open(j.store.journal.path) // cannot be written to
	if err != nil {
		t.Fatal(err)
	}

	j.store.journal.file = bad

	d := draft{}
	d.Meta.Name = "b"

	if _, err := j.store.create(target{kind: j.kind(), key: key{"default", "b"}}, d); err == nil {
		t.Error("a write that failed was acknowledged")
	}

	if got := j.state(); got != before {
		t.Errorf("a write that failed was shown: %s", got)
	}

	// A write that fails in the middle, on a disk that does not even let itself be truncated.
	if _, err := good.WriteAt(bytes.Repeat([]byte("x"), 10_000), j.store.journal.size); err != nil {
		t.Fatal(err)
	}

	_ = bad.Close()
	j.store.journal.file = good
	j.put("c", "127.0.0.3")
	after := j.state()

	_ = j.store.Close()

	if got := openAt(t, j.dir).state(); got != after {
		t.Errorf("got %s, want %s", got, after)
	}
}

func TestJournalIsRewritten(t *testing.T) {
	j := openAt(t, t.TempDir())
	j.put("b", "127.0.0.2")

	for n := range 3 * smallest / 600 {
		j.put("a", fmt.Sprintf("127.0.%d.%d", n/250, n%250))
	}

	j.store.background.Wait()

	want, size := j.state(), len(j.text())
	if size > smallest+100_000 {
		t.Errorf("the journal has %d bytes", size)
	}

	_ = j.store.Close()

	again := openAt(t, j.dir)
	if got := again.state(); got != want {
		t.Errorf("got %s, want %s", got, want)
	}

	again.put("a", "127.0.0.1")
}

func TestOlderFormatIsMigrated(t *testing.T) {
	current, states := someHistory(t)

	c, err := read(current, nil)
	if err != nil {
		t.Fatal(err)
	}

	// A format in which kinds were called resources.
	c.header.Format = format - 1
	if c.header.Format == 0 {
		c.header.Format = -1
	}

	all, err := lines(c.header, c.records)
	if err != nil {
		t.Fatal(err)
	}

	old := [][]byte{all[0]}

	for _, sealed := range all[1:] {
		text, err := open(bytes.TrimSuffix(sealed, []byte("\n")))
		if err != nil {
			t.Fatal(err)
		}

		renamed, err := line(json.RawMessage(bytes.Replace(text, []byte(`"kind":"WorkloadEntry"`), []byte(`"resource":"WorkloadEntry"`), 1)))
		if err != nil {
			t.Fatal(err)
		}

		old = append(old, renamed)
	}

	forward := func(text json.RawMessage) (json.RawMessage, error) {
		return bytes.Replace(text, []byte(`"resource":`), []byte(`"kind":`), 1), nil
	}
	same := func(text json.RawMessage) (json.RawMessage, error) { return text, nil }
	dir := t.TempDir()

	if err := os.WriteFile(filepath.Join(dir, journalFile), bytes.Join(old, nil), 0o600); err != nil {
		t.Fatal(err)
	}

	migrated, got, err := openJournal(dir, 1, map[int]migration{-1: forward, 0: same})
	if err != nil {
		t.Fatal(err)
	}

	_ = migrated.close()

	if diff := cmp.Diff(c.records, got.records); diff != "" {
		t.Errorf("records differ: %s", diff)
	}

	if got := openAt(t, dir).state(); got != states[len(states)-1].state {
		t.Errorf("got %s", got)
	}
}

func TestJournalsThatAreRefused(t *testing.T) {
	seal := func(text string) string {
		sealed, err := line(json.RawMessage(text))
		if err != nil {
			t.Fatal(err)
		}

		return string(sealed)
	}

	object := `"object":{"metadata":{"namespace":"default","name":"a"}}`

	for name, test := range map[string]struct{ text, mention string }{
		"newer":        {seal(`{"format":99,"version":1}`), "newer release"},
		"unknown":      {seal(`{"format":-7,"version":1}`), "format -7"},
		"not ours":     {"hello\nworld\n", "line 1"},
		"unknown kind": {seal(`{"format":1,"version":1}`) + seal(`{"version":1,"kind":"Gateway",`+object+`}`), "Gateway"},
		"a gap":        {seal(`{"format":1,"version":1}`) + seal(`{"version":3,"kind":"WorkloadEntry",`+object+`}`), "missing"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, journalFile), []byte(test.text), 0o600); err != nil {
				t.Fatal(err)
			}

			store, err := Open(Config{Dir: dir})
			if err == nil {
				_ = store.Close()
			}

			if err == nil || !strings.Contains(err.Error(), test.mention) {
				t.Errorf("got %v", err)
			}

			if kept, _ := os.ReadFile(filepath.Join(dir, journalFile)); string(kept) != test.text {
				t.Error("the refused journal was changed")
			}
		})
	}
}

func TestDirectoryIsForOne(t *testing.T) {
	j := openAt(t, t.TempDir())

	if store, err := Open(Config{Dir: j.dir}); err == nil {
		_ = store.Close()

		t.Error("a directory was opened twice")
	}

	_ = j.store.Close()
	openAt(t, j.dir)
}
