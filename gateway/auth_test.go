package gateway

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
)

const (
	annToken  = "ann-0123456789abcdef"
	bobToken  = "bob-0123456789abcdef"
	bossToken = "boss-0123456789abcdef"
	eveToken  = "eve-0123456789abcdef"

	// The last entry is eveToken's sha256.
	tokenFile = `
- {token: ann-0123456789abcdef, tenant: acme, user: ann, role: user}
- {token: bob-0123456789abcdef, tenant: acme, user: bob}
- {token: boss-0123456789abcdef, tenant: acme, user: boss, role: operator}
- tokenSHA256: "a35f2d6ff2f9d2b3ba8ee1b2a1ff2ba4a04a9ad5cfd5b4a0b0c5bbbe6d9b3a11"
  tenant: other
  user: eve
  role: operator
`
)

func withTokens(tb testing.TB) func(*Config) {
	tb.Helper()

	tokens, err := ParseTokens("tokens.yaml", []byte(strings.Replace(tokenFile,
		"a35f2d6ff2f9d2b3ba8ee1b2a1ff2ba4a04a9ad5cfd5b4a0b0c5bbbe6d9b3a11", sha256Hex(eveToken), 1)))
	if err != nil {
		tb.Fatal(err)
	}

	return func(c *Config) { c.Tokens = tokens }
}

func bearer(token string) []string { return []string{"Authorization", "Bearer " + token} }

func TestAuthMatrix(t *testing.T) {
	w := newWorld(t, withTokens(t))
	id := w.create(bearer(annToken)...)
	messages := "/v1/conversations/" + id + "/messages"

	for name, c := range map[string]struct {
		header []string
		status int
		reason any
	}{
		"no token":         {nil, 401, "TOKEN_MISSING"},
		"wrong token":      {bearer("ann-0123456789abcdeX"), 401, "TOKEN_INVALID"},
		"wrong scheme":     {[]string{"Authorization", "Basic " + annToken}, 401, "TOKEN_INVALID"},
		"empty":            {bearer(""), 401, "TOKEN_INVALID"},
		"the user":         {bearer(annToken), 200, nil},
		"scheme's case":    {[]string{"Authorization", "bearer " + annToken}, 200, nil},
		"another user":     {bearer(bobToken), 404, "CONVERSATION_NOT_FOUND"},
		"operator":         {bearer(bossToken), 200, nil},
		"another tenant's": {bearer(eveToken), 404, "CONVERSATION_NOT_FOUND"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, call := range [][3]string{
				{"GET", "/v1/conversations/" + id, ""},
				{"GET", "/v1/conversations/" + id + "/events", ""},
				{"POST", messages, `{"text":"hello"}`},
			} {
				if got := w.do(call[0], call[1], call[2], c.header...); got.status != c.status || got.reason() != c.reason {
					t.Errorf("%s %s: %d %v", call[0], call[1], got.status, got.body)
				}
			}

			if c.status == 200 {
				return
			}

			for _, call := range [][3]string{ // these must not show that there is such a conversation either
				{"POST", "/v1/conversations/" + id + ":cancel", "{}"},
				{"POST", "/v1/conversations/" + id + "/feedback", `{"rating":"up"}`},
				{"POST", "/v1/conversations/" + id + "/approvals/t-1-1-0", `{"decision":"approve"}`},
				{"GET", "/v1/conversations/" + id + "/events", ""},
				{"POST", messages, `{"text":"hello"}`},
			} {
				got := w.do(call[0], call[1], call[2], append(slices.Clone(c.header), "Accept", "text/event-stream")...)
				if got.status != c.status || got.reason() != c.reason {
					t.Errorf("%s %s: %d %v", call[0], call[1], got.status, got.body)
				}

				if got.status == 401 && got.header.Get("WWW-Authenticate") == "" {
					t.Error("401 without WWW-Authenticate")
				}
			}
		})
	}
}

func TestAuthorize(t *testing.T) {
	behind := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })

	for name, c := range map[string]struct {
		open          bool
		authorization string
		status        int
		reason        any
	}{
		"no token":      {false, "", 401, "TOKEN_MISSING"},
		"unknown token": {false, "Bearer " + annToken + "X", 401, "TOKEN_INVALID"},
		"wrong scheme":  {false, "Basic " + bossToken, 401, "TOKEN_INVALID"},
		"user":          {false, "Bearer " + annToken, 403, "OPERATOR_REQUIRED"},
		"operator":      {false, "Bearer " + bossToken, 204, nil},
		"no tokens":     {true, "", 204, nil},
	} {
		t.Run(name, func(t *testing.T) {
			adjust := withTokens(t)
			if c.open {
				adjust = func(*Config) {}
			}

			handler := newWorld(t, adjust).service.Authorize(behind)
			r, w := httptest.NewRequest(http.MethodGet, "/metrics", nil), httptest.NewRecorder()
			r.Header.Set("Authorization", c.authorization)
			handler.ServeHTTP(w, r)

			got := answer{status: w.Code}
			_ = json.Unmarshal(w.Body.Bytes(), &got.body) // what passed has no body

			if got.status != c.status || got.reason() != c.reason {
				t.Errorf("%d %v", got.status, got.body)
			}

			if challenged := w.Header().Get("WWW-Authenticate") != ""; challenged != (c.status == 401) {
				t.Errorf("WWW-Authenticate: %v", w.Header())
			}
		})
	}
}

func TestListShowsOnlyWhatIsOnes(t *testing.T) {
	w := newWorld(t, withTokens(t))
	w.create(bearer(annToken)...)
	w.create(bearer(bobToken)...)

	for token, want := range map[string]int{annToken: 1, bobToken: 1, bossToken: 2, eveToken: 0} {
		list, _ := w.do("GET", "/v1/conversations", "", bearer(token)...).at("conversations").([]any)
		if len(list) != want {
			t.Errorf("%s sees %d, want %d", token, len(list), want)
		}
	}
}

func TestIdempotencyKeysOfUsersNeverMeet(t *testing.T) {
	w := newWorld(t, withTokens(t))

	ann := w.create(append(bearer(annToken), "Idempotency-Key", "k")...)
	if bob := w.create(append(bearer(bobToken), "Idempotency-Key", "k")...); ann == bob {
		t.Error("bob got ann's conversation")
	}
}

// spyStore keeps the metadata that calls of the service see.
type spyStore struct {
	contextv1.ContextServiceClient

	mu   sync.Mutex
	seen metadata.MD
}

func (s *spyStore) GetConversation(ctx context.Context, req *contextv1.GetConversationRequest, options ...grpc.CallOption) (*contextv1.GetConversationResponse, error) {
	s.mu.Lock()
	s.seen, _ = metadata.FromIncomingContext(ctx)
	s.mu.Unlock()

	return s.ContextServiceClient.GetConversation(ctx, req, options...)
}

func TestReservedHeadersAreStripped(t *testing.T) {
	spy := &spyStore{}
	w := newWorld(t, withTokens(t), func(c *Config) {
		spy.ContextServiceClient = c.Context
		c.Context = spy
	})
	public := newPublicClient(t, w.service)
	id := w.create(bearer(annToken)...)
	stream := []string{"Accept", "text/event-stream"}

	for _, c := range []struct {
		token string
		kept  bool
	}{{annToken, false}, {bossToken, true}} {
		reserved := append(bearer(c.token), "Serin-Revision", "abc", "X-Serin-Forced", "1", "Grpc-Metadata-Serin-Revision", "def")
		check := func(door string) {
			t.Helper()

			spy.mu.Lock()
			defer spy.mu.Unlock()

			if got := spy.seen.Get("serin-revision"); slices.Contains(got, "def") || (len(got) == 1) != c.kept || (len(spy.seen.Get("x-serin-forced")) == 1) != c.kept {
				t.Errorf("%s with %s: %v", door, c.token, spy.seen)
			}
		}

		w.do("GET", "/v1/conversations/"+id, "", reserved...)
		check("rest")

		w.sse("GET", "/v1/conversations/"+id+"/events", "", append(reserved, stream...)...).cut()
		check("sse")

		ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+c.token, "serin-revision", "abc", "x-serin-forced", "1")
		if _, err := public.GetConversation(ctx, getRequest(id)); err != nil {
			t.Fatal(err)
		}

		check("grpc")
	}
}

func TestTokenFileErrors(t *testing.T) {
	const ok = "{token: 0123456789abcdef, tenant: a, user: b}"

	for contents, want := range map[string]string{
		"":                                      "tokens.yaml:1: must be a list",
		"a: b":                                  "tokens.yaml:1: must be a list",
		"- [":                                   "tokens.yaml: yaml:",
		"- x":                                   "tokens.yaml:1: must be a mapping",
		"- {tokn: x}":                           "tokens.yaml:1: tokn: unknown field; allowed are token, tokenSHA256, tenant, user, role",
		"- {token: 1}":                          "tokens.yaml:1: token: must be a string",
		"- {token: 0123456789abcdef, token: b}": "tokens.yaml:1: token: given twice",
		"- {tenant: a, user: b}":                "tokens.yaml:1: token: set exactly one",
		"- {token: 0123456789abcdef, tokenSHA256: x, tenant: a, user: b}":        "tokens.yaml:1: token: set exactly one",
		"- {tokenSHA256: x, tenant: a, user: b}":                                 "tokens.yaml:1: tokenSHA256: must be 64 hex",
		"- {token: short, tenant: a, user: b}":                                   "tokens.yaml:1: token: must have at least 16",
		"- {token: 0123456789 abcdef, tenant: a, user: b}":                       "tokens.yaml:1: token: must not have white space",
		"- {token: 0123456789abcdef, user: b}":                                   "tokens.yaml:1: tenant: must have",
		"- {token: 0123456789abcdef, tenant: a}":                                 "tokens.yaml:1: user: must have",
		"- token: 0123456789abcdef\n  tenant: a\n  user: b\n  role: admin":       "tokens.yaml:4: role: \"admin\" is not a role; must be user or operator",
		"- " + ok + "\n- " + ok:                                                  "tokens.yaml:2: [1].token: the same token as on line 1",
		"- " + ok + "\n- {token: 0123456789abcdeX, tenant: a, user: b, x: null}": "tokens.yaml:2: x: unknown field",
	} {
		_, err := ParseTokens("tokens.yaml", []byte(contents))
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: got %v, want %s", contents, err, want)
		}
	}
}

func TestTokenFileOnDisk(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tokens.yaml")
	write := func(token string, mode os.FileMode, age time.Duration) {
		t.Helper()

		_ = os.Remove(path)
		if err := os.WriteFile(path, []byte("- {token: "+token+", tenant: a, user: b}"), mode); err != nil {
			t.Fatal(err)
		}

		if err := os.Chtimes(path, time.Time{}, time.Now().Add(-age)); err != nil {
			t.Fatal(err)
		}
	}

	if _, err := LoadTokens(path); err == nil {
		t.Error("a missing file must fail")
	}

	write(annToken, 0o644, time.Hour)

	if _, err := LoadTokens(path); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("a file open to others: %v", err)
	}

	write(annToken, 0o600, time.Hour)

	tokens, err := LoadTokens(path)
	if err != nil {
		t.Fatal(err)
	}

	knows := func(token string) bool { _, ok := tokens.Authenticate(token); return ok }
	if !knows(annToken) || knows(bobToken) {
		t.Error("first contents")
	}

	write(bobToken, 0o600, time.Minute)

	if changed, err := tokens.Refresh(); !changed || err != nil || knows(annToken) || !knows(bobToken) {
		t.Errorf("after a change: %v %v", changed, err)
	}

	write("short", 0o600, time.Second)

	if _, err := tokens.Refresh(); err == nil || !knows(bobToken) {
		t.Errorf("a broken file leaves what was: %v", err)
	}

	if _, err := tokens.Refresh(); err != nil {
		t.Errorf("a broken file is reported once: %v", err)
	}
}

func TestNoTokensNeeded(t *testing.T) {
	w := newWorld(t)

	resp, err := http.Get(w.url + "/v1/conversations") // as a newcomer's first try
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatal(err, resp)
	}

	_ = resp.Body.Close()
	http.DefaultClient.CloseIdleConnections()
}

func FuzzTokenFile(f *testing.F) {
	f.Add(tokenFile)
	f.Add("- {token: 0123456789abcdef, tenant: a, user: b, role: operator}")
	f.Fuzz(func(t *testing.T, contents string) {
		tokens, err := ParseTokens("f", []byte(contents))
		if err != nil {
			return
		}

		for _, principal := range tokens.entries {
			if principal.Tenant == "" || principal.User == "" || principal.Role != RoleUser && principal.Role != RoleOperator {
				t.Errorf("accepted %+v", principal)
			}
		}
	})
}
