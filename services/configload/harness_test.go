package configload

import (
	"crypto/x509"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/serinhq/serin/internal/fault"
)

// store serves handlers by path over TLS.
func store(t *testing.T, pages map[string]http.HandlerFunc) *httptest.Server {
	t.Helper()

	mux := http.NewServeMux()
	for path, page := range pages {
		mux.HandleFunc(path, page)
	}

	server := httptest.NewUnstartedServer(mux)
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // clients that do not trust it are what some tests are about
	server.StartTLS()
	t.Cleanup(server.Close)

	return server
}

func text(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(body)) }
}

// trusting is a configuration that asks servers of a test and writes to a folder of its own.
func trusting(t *testing.T, servers ...*httptest.Server) Config {
	t.Helper()

	roots := x509.NewCertPool()
	for _, server := range servers {
		roots.AddCert(server.Certificate())
	}

	return Config{
		Out: filepath.Join(t.TempDir(), "config"), AllowPrivate: true, RootCAs: roots,
		Timeout: 20 * time.Second, Backoff: time.Millisecond,
	}
}

func pinned(url, content string) Source { return Source{URL: url, Digest: digestOf([]byte(content))} }

func run(t *testing.T, config Config) (*Result, error) {
	t.Helper()

	service, err := New(config)
	if err != nil {
		return nil, err
	}

	return service.Run(t.Context())
}

// refused runs what must fail with a code and one line that says something, and must not have written anything.
func refused(t *testing.T, config Config, code codes.Code, want ...string) {
	t.Helper()

	_, err := run(t, config)
	if fault.CodeOf(err) != code {
		t.Errorf("got %v: %v, want %v", fault.CodeOf(err), err, code)
	}

	for _, each := range want {
		if err == nil || !strings.Contains(err.Error(), each) || strings.Contains(err.Error(), "\n") {
			t.Errorf("got %v, want one line with %q", err, each)
		}
	}

	if _, err := os.Stat(config.Out); err == nil {
		t.Error("something was written")
	}
}

func read(t *testing.T, config Config, name string) string {
	t.Helper()

	data, err := os.ReadFile(filepath.Join(config.Out, name))
	if err != nil {
		t.Fatal(err)
	}

	return string(data)
}

// place writes a file into a folder of its own and returns its path.
func place(t *testing.T, name, content string) string {
	t.Helper()

	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}

	return path
}
