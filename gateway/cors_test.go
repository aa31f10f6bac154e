package gateway

import (
	"net/http"
	"strings"
	"testing"
)

const page = "https://chat.example.com"

func (w *world) preflight(origin, method, headers string) http.Header {
	w.t.Helper()

	resp, err := w.client.Do(w.request("OPTIONS", "/v1/conversations/c1/messages", "", "Origin", origin,
		"Access-Control-Request-Method", method, "Access-Control-Request-Headers", headers))
	if err != nil {
		w.t.Fatal(err)
	}

	_ = resp.Body.Close()

	return resp.Header
}

func TestPagesOfKnownOriginsMayUseTheAPI(t *testing.T) {
	for name, w := range map[string]*world{
		"with tokens":    newWorld(t, withTokens(t), func(c *Config) { c.Door.Origins = []string{page} }),
		"without tokens": newWorld(t, func(c *Config) { c.Door.Origins = []string{page} }),
	} {
		header := w.preflight(page, "POST", "authorization,content-type,idempotency-key")
		if header.Get("Access-Control-Allow-Origin") != page || header.Get("Access-Control-Allow-Methods") != "POST" ||
			header.Get("Access-Control-Allow-Headers") == "" || header.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%s: %v", name, header)
		}

		if header := w.preflight("https://evil.example.com", "POST", "authorization"); header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s: another page: %v", name, header)
		}

		got := w.do("POST", "/v1/conversations", "{}", append(bearer(annToken), "Origin", page, "Sec-Fetch-Site", "cross-site")...)
		if got.status != http.StatusOK || got.header.Get("Access-Control-Allow-Origin") != page ||
			!strings.Contains(strings.ToLower(got.header.Get("Access-Control-Expose-Headers")), "x-request-id") {
			t.Errorf("%s: %d, %v", name, got.status, got.header)
		}
	}
}

func TestOtherPagesMayNot(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Door.Origins = []string{page} })

	got := w.do("POST", "/v1/conversations", "{}", "Origin", "https://evil.example.com", "Sec-Fetch-Site", "cross-site")
	if got.status != http.StatusForbidden || got.reason() != "CROSS_ORIGIN" {
		t.Errorf("%d %v", got.status, got.body)
	}

	if header := newWorld(t).preflight(page, "POST", "content-type"); header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("no origins are configured: %v", header)
	}
}

func TestErrorsCanBeReadByPages(t *testing.T) {
	w := newWorld(t, withTokens(t), func(c *Config) { c.Door.Origins = []string{"*"} })

	got := w.do("GET", "/v1/conversations", "", "Origin", "https://any.example.com")
	if got.status != http.StatusUnauthorized || got.header.Get("Access-Control-Allow-Origin") != "*" {
		t.Errorf("%d, %v", got.status, got.header)
	}
}
