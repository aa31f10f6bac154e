package gateway

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

// TestDocs: the page and all that it loads come out of the binary.
func TestDocs(t *testing.T) {
	w := newWorld(t, withTokens(t)) // the page is for everyone: it has nothing that is not in the repository
	policy, text := w.fetch("/docs")
	if !strings.Contains(policy, "default-src 'self'") || !strings.Contains(text, "/openapi.json") {
		t.Fatalf("policy %q: %s", policy, text)
	}

	assets := 0

	for _, part := range strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune("\"'<> ", r) }) {
		if strings.HasPrefix(part, "http") && !strings.HasSuffix(part, "://") {
			t.Errorf("the page refers to %s", part)
		}

		if strings.HasPrefix(part, "/docs/") && strings.Contains(part, ".") {
			assets++

			if _, body := w.fetch(part); len(body) < 100 {
				t.Errorf("%s: %q", part, body)
			}
		}
	}

	if assets < 3 {
		t.Errorf("%d assets in %s", assets, text)
	}

	if got := w.do("POST", "/docs/", ""); got.status != http.StatusMethodNotAllowed || got.header.Get("Allow") != "GET, HEAD" {
		t.Errorf("POST: %d, %v", got.status, got.header)
	}
}

// fetch gets a page that must be there, with the policy that it comes under.
func (w *world) fetch(path string) (policy, body string) {
	w.t.Helper()

	resp, err := w.client.Do(w.request("GET", path, ""))
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()

	data, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		w.t.Fatalf("%s: %d, %v", path, resp.StatusCode, err)
	}

	return resp.Header.Get("Content-Security-Policy"), string(data)
}
