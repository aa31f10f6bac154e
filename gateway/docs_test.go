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
	fetch := func(path string) (*http.Response, string) {
		resp, err := w.client.Do(w.request("GET", path, ""))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()

		data, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}

		return resp, string(data)
	}

	resp, text := fetch("/docs")
	if resp.StatusCode != http.StatusOK || resp.Request.URL.Path != "/docs/" || !strings.Contains(text, "/openapi.json") {
		t.Fatalf("%d %s: %s", resp.StatusCode, resp.Request.URL, text)
	}

	if policy := resp.Header.Get("Content-Security-Policy"); !strings.Contains(policy, "default-src 'self'") {
		t.Errorf("policy %q", policy)
	}

	assets := 0

	for _, part := range strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune("\"'<> ", r) }) {
		if strings.HasPrefix(part, "http") && !strings.HasSuffix(part, "://") {
			t.Errorf("the page refers to %s", part)
		}

		if strings.HasPrefix(part, "/docs/") && strings.Contains(part, ".") {
			assets++

			if resp, body := fetch(part); resp.StatusCode != http.StatusOK || len(body) < 100 {
				t.Errorf("%s: %d, %d bytes", part, resp.StatusCode, len(body))
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
