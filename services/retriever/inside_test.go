package retriever

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/serinhq/serin/internal/telemetry"
)

// open makes a service that does not run.
func open(t *testing.T, config Config) *Service {
	t.Helper()

	config.Telemetry = telemetry.Discard()

	service, err := New(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}

	return service
}

func shut(t *testing.T, service *Service) {
	t.Helper()

	if err := service.Close(); err != nil {
		t.Error(err)
	}
}

// TestFailuresAreNotFinal: what could not be indexed for want of the index is indexed at the next look.
func TestFailuresAreNotFinal(t *testing.T) {
	folder := t.TempDir()
	for name, text := range map[string]string{"a.md": "apples", "b.md": "a\x00b"} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}

	config := Config{Index: filepath.Join(t.TempDir(), "index.db"), Folders: []Folder{{Name: "docs", Path: folder}}, Settle: time.Nanosecond}
	service := open(t, config)

	library, err := service.newLibrary(t.Context())
	if err != nil {
		t.Fatal(err)
	}

	shut(t, service)
	library.look(t.Context())

	if len(library.problems) != 2 || len(library.stamps) != 1 {
		t.Errorf("without an index: problems %v, final for %v", library.problems, library.stamps)
	}

	again := open(t, config)
	defer shut(t, again)

	service.index = again.index
	library.look(t.Context())

	if len(library.problems) != 1 || len(library.stamps) != 2 || library.indexed["docs/a.md"].passages != 1 {
		t.Errorf("with an index: problems %v, final for %v, indexed %v", library.problems, library.stamps, library.indexed)
	}
}

// TestVectorsOfSeveralLengths: the index opens, with those that most have.
func TestVectorsOfSeveralLengths(t *testing.T) {
	config := Config{
		Index: filepath.Join(t.TempDir(), "index.db"), Folders: []Folder{{Name: "docs", Path: t.TempDir()}},
		Embeddings: Embeddings{BaseURL: "http://127.0.0.1:1/v1", Model: "e5"},
	}
	service := open(t, config)

	for digest, vector := range map[string][]float32{"a": {1, 0}, "b": {0, 1, 0}, "c": {1, 0, 0}} {
		put := func(statement string, values ...any) {
			t.Helper()

			if _, err := service.index.db.ExecContext(t.Context(), statement, values...); err != nil {
				t.Fatal(err)
			}
		}

		put("INSERT INTO documents (name, title, digest, bytes, validator, indexed_at) VALUES (?, '', ?, 1, '', 1)", digest, digest)
		put("INSERT INTO passages (document, start, stop, headings, context, text, digest) VALUES (?, 0, 1, '[]', '', ?, ?)",
			digest, digest, digest)
		put("INSERT INTO vectors (digest, model, vector) VALUES (?, 'e5', ?)", digest, encodeVector(vector))
	}

	shut(t, service)

	again := open(t, config)
	defer shut(t, again)

	if again.vectors.len() != 2 || again.vectors.size() != 3 {
		t.Errorf("%d vectors of %d dimensions", again.vectors.len(), again.vectors.size())
	}
}

// TestValidatorsOfOtherReleases are not sent: the page must be taken apart anew.
func TestValidatorsOfOtherReleases(t *testing.T) {
	var asked []string

	server := httptest.NewServer(http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
		asked = append(asked, request.Header.Get("If-None-Match"))
		writer.Header().Set("Content-Type", "text/plain")
		writer.Header().Set("ETag", `"v1"`)
		_, _ = writer.Write([]byte("apples"))
	}))
	defer server.Close()

	page := Page{URL: server.URL + "/a", AllowPrivate: true}
	config := Config{Index: filepath.Join(t.TempDir(), "index.db"), Pages: []Page{page}, Refresh: time.Nanosecond}

	service := open(t, config)
	defer shut(t, service)

	library, err := service.newLibrary(t.Context())
	if err != nil {
		t.Fatal(err)
	}

	library.look(t.Context())
	library.look(t.Context())

	older := library.indexed[page.URL]
	older.validator = "0 1200 " + `"v1"`
	library.indexed[page.URL] = older

	library.look(t.Context())

	if told := strings.Join(asked, ", "); told != `, "v1", ` {
		t.Errorf("asked with %s", told)
	}
}

func TestRedirects(t *testing.T) {
	for _, one := range []struct{ from, to, want string }{
		{"https://docs.example.com/a", "https://docs.example.com/b", ""},
		{"http://docs.example.com/a", "https://docs.example.com/a", ""},
		{"https://docs.example.com/a", "http://docs.example.com/a", "not encrypted"},
		{"https://docs.example.com/a", "https://example.com/a", "another host"},
		{"https://docs.example.com/a", "https://docs.example.com:8443/a", "another port"},
	} {
		from, _ := url.Parse(one.from)
		to, _ := url.Parse(one.to)

		err := withinHost(&http.Request{URL: to}, []*http.Request{{URL: from}})
		if (err == nil) != (one.want == "") || err != nil && !strings.Contains(err.Error(), one.want) {
			t.Errorf("from %s to %s: %v", one.from, one.to, err)
		}
	}
}
