package gateway

import (
	"net/http"
	"strings"
	"testing"
)

// remember stores a memory over REST and returns its id.
func (w *world) remember(body string, headers ...string) string {
	w.t.Helper()

	got := w.do("POST", "/v1/memories", body, headers...)
	id, _ := got.at("memory", "memoryId").(string)

	if got.status != http.StatusOK || id == "" {
		w.t.Fatalf("POST /v1/memories: %d %v", got.status, got.body)
	}

	return id
}

func (a answer) texts() []string {
	list, _ := a.at("memories").([]any)

	var texts []string

	for _, one := range list {
		entry, _ := one.(map[string]any)
		if inner, found := entry["memory"].(map[string]any); found {
			entry = inner
		}

		text, _ := entry["text"].(string)
		texts = append(texts, text)
	}

	return texts
}

func TestMemoriesOverREST(t *testing.T) {
	w := newWorld(t)
	letters := w.remember(`{"text":"Prefers letters.","ttl":"3600s"}`)
	w.remember(`{"text":"Lives in Graz."}`)

	list := w.do("GET", "/v1/memories?pageSize=2&pageToken=x", "")
	if texts := strings.Join(list.texts(), "|"); texts != "Lives in Graz.|Prefers letters." || list.at("nextPageToken") != "x+" {
		t.Errorf("list: %v", list.body)
	}

	if found := w.do("GET", "/v1/memories:search?query=letters", ""); strings.Join(found.texts(), "|") != "Prefers letters." {
		t.Errorf("search: %v", found.body)
	}

	if got := w.do("DELETE", "/v1/memories/"+letters, ""); got.status != http.StatusOK {
		t.Errorf("delete: %d %v", got.status, got.body)
	}

	if got := w.do("DELETE", "/v1/memories/"+letters, ""); got.status != http.StatusNotFound || got.at("error", "reason") != "MEMORY_NOT_FOUND" {
		t.Errorf("delete once more: %d %v", got.status, got.body)
	}

	for _, path := range []string{"/v1/memories", "/v1/memories/", "/v1/memories?all=false"} {
		if got := w.do("DELETE", path, ""); got.status < 400 {
			t.Errorf("DELETE %s: %d %v", path, got.status, got.body)
		}
	}

	if got := w.do("DELETE", "/v1/memories?all=true", ""); got.status != http.StatusOK || got.at("deleted") != "1" {
		t.Errorf("delete all: %d %v", got.status, got.body)
	}

	for field, got := range map[string]answer{
		"text":  w.do("POST", "/v1/memories", `{"text":""}`),
		"ttl":   w.do("POST", "/v1/memories", `{"text":"x","ttl":"0.5s"}`),
		"query": w.do("GET", "/v1/memories:search", ""),
		"limit": w.do("GET", "/v1/memories:search?query=x&limit=51", ""),
	} {
		if got.status != http.StatusBadRequest || got.violation(field) == "" {
			t.Errorf("bad %s: %d %v", field, got.status, got.body)
		}
	}
}

func TestMemoriesAreStoredOnce(t *testing.T) {
	w := newWorld(t)
	key := []string{"Idempotency-Key", "k"}

	if first, again := w.remember(`{"text":"Prefers letters."}`, key...), w.remember(`{"text":"Prefers letters."}`, key...); first != again {
		t.Errorf("stored as %s and %s", first, again)
	}

	got := w.do("POST", "/v1/memories", `{"text":"Hates letters."}`, key...)
	if got.status != http.StatusConflict || got.at("error", "reason") != "REQUEST_ID_REUSED" {
		t.Errorf("another text: %d %v", got.status, got.body)
	}
}

// TestMemoriesAreTheUsersOwn, but for operators of the tenant.
func TestMemoriesAreTheUsersOwn(t *testing.T) {
	w := newWorld(t, withTokens(t))
	id := w.remember(`{"text":"Prefers letters."}`, bearer(annToken)...)

	for name, one := range map[string]struct {
		query, token string
		status       int
		found        int
	}{
		"her own":                   {"", annToken, http.StatusOK, 1},
		"her own by name":           {"?user=ann", annToken, http.StatusOK, 1},
		"another user's own":        {"", bobToken, http.StatusOK, 0},
		"another user asks":         {"?user=ann", bobToken, http.StatusForbidden, 0},
		"an operator asks":          {"?user=ann", bossToken, http.StatusOK, 1},
		"another tenant's, by name": {"?user=ann", eveToken, http.StatusOK, 0},
		"nobody":                    {"", "", http.StatusUnauthorized, 0},
	} {
		got := w.do("GET", "/v1/memories"+one.query, "", bearer(one.token)...)
		if got.status != one.status || len(got.texts()) != one.found {
			t.Errorf("%s: %d %v", name, got.status, got.body)
		}
	}

	if got := w.do("DELETE", "/v1/memories/"+id, "", bearer(bobToken)...); got.status != http.StatusNotFound {
		t.Errorf("another user deletes: %d %v", got.status, got.body)
	}

	if got := w.do("DELETE", "/v1/memories/"+id+"?user=ann", "", bearer(bossToken)...); got.status != http.StatusOK {
		t.Errorf("an operator deletes: %d %v", got.status, got.body)
	}
}
