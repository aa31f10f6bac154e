package outbound

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/net/dns/dnsmessage"

	"github.com/serinhq/serin/internal/agentspec"
	"github.com/serinhq/serin/internal/dialguard"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// site is a server at http://api.example.com, with others beside it that must not be reached.
type site struct {
	*httptest.Server

	client *http.Client
	inner  *httptest.Server
	asked  []*http.Request
}

// newSite makes a client whose first hop is let through to a server here, as if that were on the internet.
func newSite(t *testing.T, spec *agentspec.MCPServerSpec, handle func(s *site, w http.ResponseWriter, r *http.Request)) *site {
	t.Helper()

	made := &site{}
	made.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		made.asked = append(made.asked, r)
		handle(made, w, r)
	}))
	made.inner = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { t.Errorf("reached %s", r.URL) }))

	spec.URL = "http://api.example.com"

	client, err := New(Config{Spec: spec, Getenv: func(name string) string { return "secret-" + name }})
	if err != nil {
		t.Fatal(err)
	}

	guarded := dialguard.Guard{AllowPrivate: spec.AllowPrivate, Resolver: liar(t)}.Dialer()
	client.Transport.(*tripper).next.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		if strings.HasSuffix(address, ".example.com:80") {
			return (&net.Dialer{}).DialContext(ctx, network, made.Listener.Addr().String())
		}

		return guarded.DialContext(ctx, network, address)
	}
	made.client = client

	t.Cleanup(func() {
		client.CloseIdleConnections()
		made.Close()
		made.inner.Close()
	})

	return made
}

// liar is a resolver that says of every name that it is this machine.
func liar(t *testing.T) *net.Resolver {
	t.Helper()

	server, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}

	ended := make(chan struct{})

	go func() {
		defer close(ended)

		buffer := make([]byte, 512)

		for {
			n, from, err := server.ReadFrom(buffer)
			if err != nil {
				return
			}

			var question dnsmessage.Message
			if question.Unpack(buffer[:n]) != nil {
				continue
			}

			question.Response, question.Additionals = true, nil
			if asked := question.Questions[0]; asked.Type == dnsmessage.TypeA {
				question.Answers = []dnsmessage.Resource{{
					Header: dnsmessage.ResourceHeader{Name: asked.Name, Class: dnsmessage.ClassINET, TTL: 0},
					Body:   &dnsmessage.AResource{A: [4]byte{127, 0, 0, 1}},
				}}
			}

			if packed, err := question.Pack(); err == nil {
				_, _ = server.WriteTo(packed, from)
			}
		}
	}()

	t.Cleanup(func() {
		server.Close()
		<-ended
	})

	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", server.LocalAddr().String())
	}}
}

// TestNoWayToPrivateAddresses: neither a redirect nor a name leads there, listed or not.
func TestNoWayToPrivateAddresses(t *testing.T) {
	for name, test := range map[string]struct {
		to        func(s *site) string
		redirects []string
		private   bool
		want      error
	}{
		"this machine":              {func(s *site) string { return s.inner.URL }, nil, true, ErrRedirect},
		"this machine, listed":      {func(s *site) string { return s.inner.URL }, []string{"inner"}, false, dialguard.ErrAddress},
		"a cloud's secrets":         {func(*site) string { return "http://169.254.169.254/latest/meta-data" }, nil, false, ErrRedirect},
		"a cloud's secrets, listed": {func(*site) string { return "http://169.254.169.254/latest" }, []string{"169.254.169.254"}, true, dialguard.ErrAddress},
		"a name":                    {func(s *site) string { return "http://rebind.test:" + port(s.inner.URL) }, nil, false, ErrRedirect},
		"a name, listed":            {func(s *site) string { return "http://rebind.test:" + port(s.inner.URL) }, []string{"rebind.test:inner"}, false, dialguard.ErrAddress},
		"in other numbers":          {func(s *site) string { return "http://[::ffff:127.0.0.1]:" + port(s.inner.URL) }, nil, false, ErrRedirect},
		"a file":                    {func(*site) string { return "file:///etc/passwd" }, nil, true, ErrRedirect},
		"round and round":           {func(*site) string { return "http://api.example.com/again" }, nil, true, ErrRedirect},
	} {
		spec := &agentspec.MCPServerSpec{AllowPrivate: test.private}
		site := newSite(t, spec, func(s *site, w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, test.to(s), http.StatusFound)
		})

		for _, host := range test.redirects {
			inner, _ := url.Parse(site.inner.URL)
			host = strings.NewReplacer("rebind.test:inner", "rebind.test:"+inner.Port(), "inner", inner.Host).Replace(host)
			spec.Redirects = append(spec.Redirects, host)
		}

		home, _ := url.Parse(spec.URL)
		site.client.CheckRedirect = redirects{home: home, others: spec.Redirects}.check

		response, err := get(t, site.client, "http://api.example.com/")
		if !errors.Is(err, test.want) {
			t.Errorf("%s: %v %v, want %v", name, response, err, test.want)
		}
	}
}

// TestNamesAreLookedAtWhenDialled: what a name meant before does not count.
func TestNamesAreLookedAtWhenDialled(t *testing.T) {
	client, err := New(Config{Spec: &agentspec.MCPServerSpec{URL: "http://rebind.test"}, Getenv: func(string) string { return "" }})
	if err != nil {
		t.Fatal(err)
	}

	client.Transport.(*tripper).next.DialContext = dialguard.Guard{Resolver: liar(t)}.Dialer().DialContext

	if _, err := get(t, client, "http://rebind.test/"); !errors.Is(err, dialguard.ErrAddress) || !strings.Contains(err.Error(), "127.0.0.1 is an address of this machine") {
		t.Errorf("%v", err)
	}
}

func port(of string) string {
	parsed, _ := url.Parse(of)

	return parsed.Port()
}

func get(t *testing.T, client *http.Client, from string) (string, error) {
	t.Helper()

	response, err := client.Get(from)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()

	body, err := io.ReadAll(response.Body)

	return string(body), err
}

// TestSecretsStayAtHome: whoever else a redirect leads to does not see them.
func TestSecretsStayAtHome(t *testing.T) {
	spec := &agentspec.MCPServerSpec{
		Auth: &agentspec.Auth{BearerEnv: "TOKEN"}, Headers: []agentspec.Header{{Name: "X-Key", Env: "KEY"}},
		Redirects: []string{"files.example.com"},
	}
	site := newSite(t, spec, func(_ *site, w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Host == "files.example.com":
			_, _ = io.WriteString(w, "the file")
		case r.URL.Path == "/":
			http.Redirect(w, r, "/there", http.StatusFound)
		default:
			http.Redirect(w, r, "http://files.example.com/file", http.StatusTemporaryRedirect)
		}
	})

	request, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://api.example.com/", nil)
	request.Header.Set("X-Argument", "private")

	response, err := site.client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()

	for i, want := range []string{"Bearer secret-TOKEN secret-KEY private", "Bearer secret-TOKEN secret-KEY private", "  "} {
		header := site.asked[i].Header
		if got := header.Get("Authorization") + " " + header.Get("X-Key") + " " + header.Get("X-Argument"); got != want {
			t.Errorf("request %d carries %q, want %q", i, got, want)
		}
	}
}

// TestBodiesAreNotTakenAlong: neither to another host, nor in another form.
func TestBodiesAreNotTakenAlong(t *testing.T) {
	for status, want := range map[int]string{http.StatusTemporaryRedirect: "would take the request's body", http.StatusFound: "would make a GET of a POST"} {
		site := newSite(t, &agentspec.MCPServerSpec{Redirects: []string{"files.example.com"}}, func(_ *site, w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://files.example.com/", status)
		})

		response, err := site.client.Post("http://api.example.com/", "text/plain", strings.NewReader("secret"))
		if !errors.Is(err, ErrRedirect) || !strings.Contains(err.Error(), want) || len(site.asked) != 1 {
			t.Errorf("%d: %v, asked %d times", status, err, len(site.asked))
		}

		if response != nil {
			response.Body.Close()
		}
	}
}

func TestTraceSaysHowFarARequestCame(t *testing.T) {
	site := newSite(t, &agentspec.MCPServerSpec{}, func(_ *site, w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/gone" {
			panic(http.ErrAbortHandler)
		}

		w.WriteHeader(http.StatusTeapot)
	})

	for target, want := range map[string]struct {
		sent   bool
		status int
	}{
		"http://api.example.com/":     {true, http.StatusTeapot},
		"http://api.example.com/gone": {true, 0},
		"http://rebind.test/":         {false, 0},
	} {
		ctx, trace := WithTrace(t.Context())
		request, _ := http.NewRequestWithContext(ctx, http.MethodPost, target, strings.NewReader("body"))

		response, err := site.client.Do(request)
		if err == nil {
			response.Body.Close()
		}

		if trace.Sent() != want.sent || trace.Status() != want.status || !Traced(ctx) {
			t.Errorf("%s: sent %t, status %d", target, trace.Sent(), trace.Status())
		}
	}
}

func TestNewRefusesSecrets(t *testing.T) {
	for value, want := range map[string]string{"": "TOKEN is not set", "hush\nquiet": "TOKEN has more than one line"} {
		_, err := New(Config{
			Spec:   &agentspec.MCPServerSpec{URL: "http://x", Auth: &agentspec.Auth{BearerEnv: "TOKEN"}},
			Getenv: func(string) string { return value },
		})
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hush") {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
