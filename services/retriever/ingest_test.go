package retriever_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	retrieverv1 "github.com/serinhq/serin/gen/serin/retriever/v1"
	"github.com/serinhq/serin/services/retriever"
)

// long is a document of one passage.
func long(word string) string { return "# " + word + "\n\nAll about " + word + ".\n" }

func TestDocumentsComeChangeAndGo(t *testing.T) {
	folder := t.TempDir()
	write(t, folder, "a.md", long("apples"))
	write(t, folder, "deep/b.html", "<h1>Bananas</h1><p>All about bananas.")
	write(t, folder, ".hidden.md", long("secrets"))
	write(t, folder, "c.pdf", "%PDF")

	server := newNgramServer(t)
	config := base(t, folder)
	config.Embeddings = embeddings(server)

	r := start(t, config)
	r.ready()

	if got := r.names("bananas"); len(got) == 0 || got[0] != "docs/deep/b.html" {
		t.Errorf("bananas are in %v", got)
	}

	if got := r.ask(&retrieverv1.RetrieveRequest{Query: "secrets", Mode: retrieverv1.Mode_MODE_TEXT}).GetPassages(); len(got) != 0 {
		t.Errorf("hidden files are read: %v", got)
	}

	if one := r.document("docs/c.pdf"); !strings.Contains(one.GetProblem(), ".pdf") || one.GetPassages() != 0 {
		t.Errorf("c.pdf: %v", one)
	}

	before := server.texts.Load()

	write(t, folder, "a.md", long("apricots"))
	r.eventually("the change", func() bool { return slices.Contains(r.names("apricots"), "docs/a.md") && r.list().GetWaiting() == 0 })

	// The change and the query; what did not change has its vectors.
	if after := server.texts.Load(); after-before > 2 {
		t.Errorf("%d texts were embedded for one change", after-before)
	}

	if err := os.Rename(filepath.Join(folder, "a.md"), filepath.Join(folder, "d.md")); err != nil {
		t.Fatal(err)
	}

	r.eventually("the new name", func() bool { return slices.Contains(r.names("apricots"), "docs/d.md") })

	if err := os.RemoveAll(filepath.Join(folder, "deep")); err != nil {
		t.Fatal(err)
	}

	r.eventually("the removal", func() bool { return r.document("docs/deep/b.html") == nil })

	if got := r.names("bananas"); slices.Contains(got, "docs/deep/b.html") {
		t.Errorf("what has gone is found: %v", got)
	}
}

// TestRestartsDoNotEmbedAgain, and find what changed meanwhile.
func TestRestartsDoNotEmbedAgain(t *testing.T) {
	folder := t.TempDir()
	for i := range 30 {
		write(t, folder, fmt.Sprintf("%d.md", i), long(fmt.Sprintf("topic%d", i)))
	}

	server := newNgramServer(t)
	config := base(t, folder)
	config.Embeddings = embeddings(server)

	r := start(t, config)
	r.ready()
	r.stop()

	if got := server.texts.Load(); got != 30 {
		t.Errorf("%d texts were embedded", got)
	}

	write(t, folder, "7.md", long("changed"))

	if err := os.Remove(filepath.Join(folder, "8.md")); err != nil {
		t.Fatal(err)
	}

	r = start(t, config)
	r.ready()

	if got := server.texts.Load(); got != 31 {
		t.Errorf("%d texts were embedded after a restart, want 1", got-30)
	}

	found := r.ask(&retrieverv1.RetrieveRequest{Query: "topic9", Mode: retrieverv1.Mode_MODE_VECTOR})
	if found.GetPassages()[0].GetSource().GetDocument() != "docs/9.md" {
		t.Errorf("found %v", found)
	}

	if r.document("docs/8.md") != nil || len(r.list().GetDocuments()) != 29 {
		t.Errorf("documents %v", r.list())
	}
}

// TestConfigMaps replaces a mounted ConfigMap as the kubelet does: all at once, by a link.
func TestConfigMaps(t *testing.T) {
	folder := t.TempDir()
	write(t, folder, "..2026_01/refunds", "Refunds take ten days.")
	write(t, folder, "..2026_01/gone.md", long("leaving"))

	link := func(target, name string) {
		t.Helper()

		if err := os.Symlink(target, filepath.Join(folder, name+".new")); err != nil {
			t.Fatal(err)
		}

		if err := os.Rename(filepath.Join(folder, name+".new"), filepath.Join(folder, name)); err != nil {
			t.Fatal(err)
		}
	}

	link("..2026_01", "..data")
	link("..data/refunds", "refunds")
	link("..data/gone.md", "gone.md")
	link("/etc/passwd", "passwd") // leads out

	r := start(t, base(t, folder))
	r.ready()

	if got := r.names("refunds"); !slices.Equal(got, []string{"docs/refunds"}) {
		t.Errorf("found %v", got)
	}

	if len(r.list().GetDocuments()) != 2 {
		t.Errorf("documents %v", r.list())
	}

	write(t, folder, "..2026_02/refunds", "Refunds take twenty fortnights.")
	link("..2026_02", "..data")

	if err := os.Remove(filepath.Join(folder, "gone.md")); err != nil {
		t.Fatal(err)
	}

	r.eventually("the next version", func() bool { return len(r.names("fortnights")) == 1 && r.document("docs/gone.md") == nil })
}

// TestHalfWrittenFiles keep the version before, until they have been left alone for a while.
func TestHalfWrittenFiles(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "a.md")
	write(t, folder, "a.md", long("apples"))
	aged(t, path)

	config := base(t, folder)
	config.Settle = time.Hour

	r := start(t, config)
	r.ready()

	write(t, folder, "a.md", "# ber")
	write(t, folder, "b.md", long("blossom"))
	aged(t, filepath.Join(folder, "b.md"))
	r.eventually("the other file", func() bool { return slices.Contains(r.names("blossom"), "docs/b.md") })

	if got := r.names("apples"); !slices.Equal(got, []string{"docs/a.md"}) {
		t.Errorf("a half-written file was read: %v", got)
	}

	write(t, folder, "a.md", "# berries \xff")
	aged(t, path)
	r.eventually("what is no text", func() bool { return strings.Contains(r.document("docs/a.md").GetProblem(), "UTF-8") })

	if got := r.names("apples"); !slices.Equal(got, []string{"docs/a.md"}) {
		t.Errorf("the version before was dropped: %v", got)
	}

	write(t, folder, "a.md", long("berries"))
	aged(t, path)
	r.eventually("the whole file", func() bool { return slices.Contains(r.names("berries"), "docs/a.md") })

	if problem := r.document("docs/a.md").GetProblem(); problem != "" {
		t.Errorf("problem %q", problem)
	}
}

// ages makes files older, each a moment less than the one before, so that no two versions have the same time.
var ages atomic.Int64

func aged(t *testing.T, path string) {
	t.Helper()

	at := time.Now().Add(-3*time.Hour + time.Duration(ages.Add(1))*time.Second)
	if err := os.Chtimes(path, at, at); err != nil {
		t.Fatal(err)
	}
}

// TestAFolderThatGoesAway for a while does not take what is indexed with it.
func TestAFolderThatGoesAway(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "docs")
	write(t, folder, "a.md", long("apples"))

	r := start(t, base(t, folder))
	r.ready()

	if err := os.Rename(folder, folder+".away"); err != nil {
		t.Fatal(err)
	}

	r.eventually("the problem", func() bool { return r.document("docs").GetProblem() != "" })

	if got := r.names("apples"); !slices.Equal(got, []string{"docs/a.md"}) {
		t.Errorf("found %v", got)
	}

	if err := os.Rename(folder+".away", folder); err != nil {
		t.Fatal(err)
	}

	r.eventually("its return", func() bool { return r.document("docs") == nil })
}

func TestLimitsRefuseByName(t *testing.T) {
	folder := t.TempDir()
	write(t, folder, "a.md", long("apples"))
	write(t, folder, "big.md", strings.Repeat("big words\n\n", 1000))
	write(t, folder, "many.md", strings.Repeat("# h\n\nwords of many\n\n", 20))

	config := base(t, folder)
	config.Limits = retriever.Limits{DocumentBytes: 2000, Documents: 3, Passages: 12, Bytes: 1 << 20}

	r := start(t, config)
	r.ready()

	for name, want := range map[string]string{"docs/big.md": "limits.documentBytes", "docs/many.md": "limits.passages"} {
		if problem := r.document(name).GetProblem(); !strings.Contains(problem, want) {
			t.Errorf("%s: %q", name, problem)
		}
	}

	if got := r.names("apples"); !slices.Equal(got, []string{"docs/a.md"}) {
		t.Errorf("found %v", got)
	}

	for _, name := range []string{"b", "c", "d"} {
		write(t, folder, name+".md", long("berries"+name))
	}

	r.eventually("the fourth document", func() bool {
		return strings.Contains(r.document("docs/d.md").GetProblem(), "limits.documents")
	})

	// Room that becomes free is used.
	if err := os.Remove(filepath.Join(folder, "a.md")); err != nil {
		t.Fatal(err)
	}

	r.eventually("room", func() bool { return slices.Contains(r.names("berriesd"), "docs/d.md") })
}

// site is a web server whose pages a test changes.
type site struct {
	mu    sync.Mutex
	pages map[string][2]string // type and text
	asked map[string]int       // whole answers
}

func (s *site) ServeHTTP(writer http.ResponseWriter, request *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()

	page, found := s.pages[request.URL.Path]

	switch {
	case request.URL.Path == "/elsewhere.md":
		http.Redirect(writer, request, "http://localhost:1/x.md", http.StatusFound)
	case request.URL.Path == "/broken.md":
		http.Error(writer, "broken", http.StatusInternalServerError)
	case !found:
		http.NotFound(writer, request)
	case request.Header.Get("If-None-Match") == fmt.Sprintf("%q", page[1]):
		writer.WriteHeader(http.StatusNotModified)
	default:
		s.asked[request.URL.Path]++
		writer.Header().Set("Content-Type", page[0])
		writer.Header().Set("ETag", fmt.Sprintf("%q", page[1]))
		_, _ = fmt.Fprint(writer, page[1])
	}
}

func (s *site) set(path, kind, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()

	if s.pages[path] = [2]string{kind, text}; text == "" {
		delete(s.pages, path)
	}
}

func TestPages(t *testing.T) {
	pages := &site{pages: map[string][2]string{}, asked: map[string]int{}}
	pages.set("/a.md", "text/plain; charset=utf-8", "# Apples\n\nred")
	pages.set("/b", "text/html", "<h1>Bananas</h1>yellow")
	pages.set("/c", "image/png", "x")

	server := httptest.NewServer(pages)
	t.Cleanup(server.Close)

	config := base(t, "")
	config.Folders, config.Refresh = nil, 20*time.Millisecond

	for _, path := range []string{"/a.md", "/b", "/c", "/elsewhere.md", "/broken.md", "/none.md"} {
		config.Pages = append(config.Pages, retriever.Page{URL: server.URL + path, AllowPrivate: true})
	}

	r := start(t, config)
	r.ready()

	if got := r.names("bananas"); !slices.Equal(got, []string{server.URL + "/b"}) {
		t.Errorf("found %v", got)
	}

	for path, want := range map[string]string{
		"/c": "image/png", "/elsewhere.md": "another host", "/broken.md": "500", "/none.md": "404",
	} {
		if problem := r.document(server.URL + path).GetProblem(); !strings.Contains(problem, want) {
			t.Errorf("%s: %q", path, problem)
		}
	}

	pages.set("/b", "text/html", "<h1>Bananas</h1>brown")
	r.eventually("the change", func() bool { return len(r.names("brown")) == 1 })

	pages.set("/b", "", "")
	r.eventually("the end", func() bool { return len(r.names("bananas")) == 0 })

	pages.mu.Lock()
	defer pages.mu.Unlock()

	if pages.asked["/a.md"] != 1 {
		t.Errorf("a page that did not change was sent %d times", pages.asked["/a.md"])
	}
}

// TestPrivateAddresses are asked only where the configuration says so.
func TestPrivateAddresses(t *testing.T) {
	pages := &site{pages: map[string][2]string{}, asked: map[string]int{}}
	pages.set("/a.md", "text/markdown", "# Apples\n\nred")

	server := httptest.NewServer(pages)
	t.Cleanup(server.Close)

	config := base(t, "")
	config.Folders, config.Pages = nil, []retriever.Page{{URL: server.URL + "/a.md"}}

	r := start(t, config)
	r.eventually("a refusal", func() bool {
		return strings.Contains(r.document(server.URL+"/a.md").GetProblem(), "127.0.0.1 is an address of this machine, and the declaration does not say allowPrivate: true")
	})

	pages.mu.Lock()
	defer pages.mu.Unlock()

	if pages.asked["/a.md"] != 0 {
		t.Error("it was asked")
	}
}

// TestSlowPagesHoldNobodyUp: as many as are asked for at once wait beside each other.
func TestSlowPagesHoldNobodyUp(t *testing.T) {
	var arrived sync.WaitGroup

	arrived.Add(3)

	server := httptest.NewServer(http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
		arrived.Done()
		arrived.Wait() // for the others

		writer.Header().Set("Content-Type", "text/plain")
		_, _ = fmt.Fprint(writer, "fruit of "+request.URL.Path)
	}))
	t.Cleanup(server.Close)

	config := base(t, "")
	config.Folders = nil

	for _, path := range []string{"/a", "/b", "/c"} {
		config.Pages = append(config.Pages, retriever.Page{URL: server.URL + path, AllowPrivate: true})
	}

	r := start(t, config)
	r.ready()

	if got := r.names("fruit"); len(got) != 3 {
		t.Errorf("found %v", got)
	}
}

// TestDamagedIndexesAreMadeAnew, and the damaged one is kept beside.
func TestDamagedIndexesAreMadeAnew(t *testing.T) {
	folder := t.TempDir()
	write(t, folder, "a.md", long("apples"))

	config := base(t, folder)
	if err := os.WriteFile(config.Index, []byte(strings.Repeat("this is no database ", 500)), 0o600); err != nil {
		t.Fatal(err)
	}

	r := start(t, config)
	r.ready()

	if got := r.names("apples"); len(got) != 1 {
		t.Errorf("found %v", got)
	}

	if _, err := os.Stat(config.Index + ".unusable"); err != nil {
		t.Error(err)
	}
}
