package configload

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
)

const prompt = "You bill.\n"

func TestStoresAreAskedUntilTheyAnswer(t *testing.T) {
	t.Parallel()

	asked := atomic.Int32{}
	server := store(t, map[string]http.HandlerFunc{
		"/prompt": func(w http.ResponseWriter, _ *http.Request) {
			switch asked.Add(1) {
			case 1:
				http.Error(w, "later", http.StatusServiceUnavailable)
			case 2:
				w.Header().Set("Retry-After", "0")
				http.Error(w, "slowly", http.StatusTooManyRequests)
			case 3:
				w.Header().Set("Content-Length", "100")
				_, _ = w.Write([]byte("You"))
			default:
				_, _ = w.Write([]byte(prompt))
			}
		},
	})

	config := trusting(t, server)
	config.Prompt = pinned(server.URL+"/prompt", prompt)

	result, err := run(t, config)
	if err != nil {
		t.Fatal(err)
	}

	if got := read(t, config, "system-prompt.txt"); got != prompt || asked.Load() != 4 || !result.Files[0].Pinned {
		t.Errorf("%q after %d requests: %+v", got, asked.Load(), result)
	}
}

func TestStoresThatStayAwayAreGivenUpInTime(t *testing.T) {
	t.Parallel()

	server := store(t, map[string]http.HandlerFunc{
		"/hangs": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"/busy":  func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) },
		"/leave-me": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "3600")
			w.WriteHeader(http.StatusServiceUnavailable)
		},
	})
	gone := httptest.NewServer(nil)
	gone.Close()

	for url, want := range map[string]string{
		server.URL + "/hangs":    "asked once: ",
		server.URL + "/busy":     "times: the store answers 502 Bad Gateway; want a store that answers with 200",
		server.URL + "/leave-me": "asked once: the store answers 503",
		gone.URL:                 "connection refused",
	} {
		config := trusting(t, server)
		config.AllowHTTP, config.Timeout = true, 150*time.Millisecond
		config.Prompt = pinned(url, prompt)

		refused(t, config, codes.Unavailable, "prompt: "+url+": not reached in time", want)
	}
}

func TestAnswersThatStayAreNotAskedForAgain(t *testing.T) {
	t.Parallel()

	for answer, test := range map[int]struct {
		code codes.Code
		want string
	}{
		http.StatusNotFound:     {codes.NotFound, "the store answers 404 Not Found"},
		http.StatusUnauthorized: {codes.Unavailable, "the store answers 401 Unauthorized"},
		http.StatusNoContent:    {codes.Unavailable, "the store answers 204 No Content"},
	} {
		asked := atomic.Int32{}
		server := store(t, map[string]http.HandlerFunc{"/": func(w http.ResponseWriter, _ *http.Request) {
			asked.Add(1)
			w.WriteHeader(answer)
		}})

		config := trusting(t, server)
		config.Tools = pinned(server.URL+"/tools?signature=hidden", "[]")

		refused(t, config, test.code, "tools: "+server.URL+"/tools?...: "+test.want)

		if asked.Load() != 1 {
			t.Errorf("%d: asked %d times", answer, asked.Load())
		}
	}
}

func TestContentThatIsNotRightIsRefused(t *testing.T) {
	t.Parallel()

	server := store(t, map[string]http.HandlerFunc{
		"/prompt": text(prompt), "/blank": text(" \n"), "/latin": text("Stra\xdfe"), "/tools": text("[{name: clock}, {nam: x, how: y}]"),
		"/big": text(strings.Repeat("x", maxPart+1)),
		"/gzip": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write([]byte(prompt))
		},
	})

	for path, test := range map[string]struct {
		change func(*Config, string)
		want   string
	}{
		"/prompt": {
			func(c *Config, url string) { c.Prompt = pinned(url, "You sort.\n") },
			"its digest is " + digestOf([]byte(prompt)) + ", and " + digestOf([]byte("You sort.\n")) + " is expected",
		},
		"/blank": {func(c *Config, url string) { c.Prompt.URL = url }, "it is blank"},
		"/latin": {func(c *Config, url string) { c.Prompt.URL = url }, "not valid UTF-8"},
		"/gzip":  {func(c *Config, url string) { c.Prompt.URL = url }, `encoded as "gzip"`},
		"/big":   {func(c *Config, url string) { c.Prompt.URL = url }, "more than 1048576 bytes"},
		"/tools": {
			func(c *Config, url string) { c.Tools.URL = url },
			"line 1: spec.tools[1].nam: unknown field; did you mean name? allowed here: approval, name (and 2 more)",
		},
	} {
		config := trusting(t, server)
		config.Unpinned = true
		test.change(&config, server.URL+path)

		refused(t, config, codes.InvalidArgument, server.URL+path+": ", test.want)
	}
}

func TestRedirectsStayWithinWhatIsEncrypted(t *testing.T) {
	t.Parallel()

	plain := httptest.NewServer(text(prompt))
	t.Cleanup(plain.Close)

	other := store(t, map[string]http.HandlerFunc{"/": text(prompt)})
	to := func(url string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, url, http.StatusFound) }
	}
	server := store(t, map[string]http.HandlerFunc{
		"/other": to(other.URL + "/"), "/plain": to(plain.URL), "/round": to("/round"), "/file": to("file:///etc/passwd"),
	})

	config := trusting(t, server, other)
	config.Prompt = pinned(server.URL+"/other", prompt)

	if _, err := run(t, config); err != nil || read(t, config, "system-prompt.txt") != prompt {
		t.Errorf("to another host: %v", err)
	}

	for path, want := range map[string]string{
		"/plain": "redirects to " + plain.URL + ": want redirects to https alone",
		"/file":  "redirects to file:///etc/passwd: want redirects to https alone",
		"/round": "more than 5 redirects",
	} {
		config := trusting(t, server)
		config.AllowHTTP = true
		config.Prompt = pinned(server.URL+path, prompt)

		refused(t, config, codes.InvalidArgument, want)
	}
}

func TestOnlyWhoIsTrustedIsAsked(t *testing.T) {
	t.Parallel()

	server := store(t, map[string]http.HandlerFunc{"/": text(prompt)})

	unknown := trusting(t)
	unknown.Prompt = pinned(server.URL, prompt)
	refused(t, unknown, codes.Unavailable, "its certificate is not trusted", "SSL_CERT_FILE")

	named := trusting(t, server)
	named.Prompt = pinned(strings.Replace(server.URL, "127.0.0.1", "localhost", 1), prompt)
	refused(t, named, codes.Unavailable, "its certificate is not trusted")

	private := trusting(t, server)
	private.AllowPrivate = false
	private.Prompt = pinned(server.URL, prompt)
	refused(t, private, codes.InvalidArgument, "127.0.0.1 is an address of this machine, and --allow-private is not given")

	clouds := trusting(t, server)
	clouds.AllowHTTP = true
	clouds.Prompt = pinned("http://169.254.169.254/latest", prompt)
	refused(t, clouds, codes.InvalidArgument, "169.254.169.254 is a link-local address")
}
