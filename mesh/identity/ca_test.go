package identity

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

const billing = "spiffe://cluster.local/ns/default/sa/billing"

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// clock is a time that the test sets.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Now()} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()

	return c.now
}

func (c *clock) advance(by time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()

	c.now = c.now.Add(by)
}

func openCA(t *testing.T, dir string, config CAConfig) *CA {
	t.Helper()

	ca, err := OpenCA(dir, config)
	if err != nil {
		t.Fatal(err)
	}

	return ca
}

func issue(t *testing.T, ca *CA, dir, uri string, names ...string) {
	t.Helper()

	if err := ca.Issue(dir, uri, names...); err != nil {
		t.Fatal(err)
	}
}

// leaf reads the certificate in a directory.
func leaf(t *testing.T, dir string) *x509.Certificate {
	t.Helper()

	data, err := os.ReadFile(filepath.Join(dir, SVIDFile))
	if err != nil {
		t.Fatal(err)
	}

	block, _ := pem.Decode(data)

	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}

	return certificate
}

func TestAuthorityIsMadeOnceAndLoadedAgain(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data", "ca")

	first := openCA(t, dir, CAConfig{})
	second := openCA(t, dir, CAConfig{})

	if !bytes.Equal(first.Bundle(), second.Bundle()) {
		t.Error("opening again made another root")
	}

	for path, want := range map[string]os.FileMode{dir: 0o700, filepath.Join(dir, rootFile): 0o600} {
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v, want %o", path, info.Mode(), err, want)
		}
	}

	if entries, _ := os.ReadDir(dir); len(entries) != 1 {
		t.Errorf("left behind: %v", entries)
	}
}

func TestSimultaneousOpensAgree(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}

	bundles := make([]string, 8)

	var opens sync.WaitGroup
	for i := range bundles {
		opens.Go(func() {
			if ca, err := OpenCA(dir, CAConfig{}); err != nil {
				t.Error(err)
			} else {
				bundles[i] = string(ca.Bundle())
			}
		})
	}

	opens.Wait()

	for _, bundle := range bundles {
		if bundle != bundles[0] {
			t.Fatal("two roots were made")
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	for name, test := range map[string]struct {
		spoil  func(dir string) error
		config CAConfig
		want   string
	}{
		"a directory that others can enter": {
			func(dir string) error { return os.Chmod(dir, 0o755) }, CAConfig{}, "has permissions 0755 but is for private keys, which others must not read; run: chmod 700 ",
		},
		"a root that others can read": {
			func(dir string) error { return os.Chmod(filepath.Join(dir, rootFile), 0o640) }, CAConfig{}, "run: chmod 600 ",
		},
		"another trust domain": {nil, CAConfig{TrustDomain: "example.org"}, "not of the trust domain example.org"},
		"a bad trust domain":   {nil, CAConfig{TrustDomain: "Not A Domain"}, "trust domain"},
		"an expired root": {
			nil, CAConfig{Now: func() time.Time { return time.Now().Add(11 * 365 * 24 * time.Hour) }}, "expired at",
		},
		"a torn root": {
			func(dir string) error { return os.Truncate(filepath.Join(dir, rootFile), 400) }, CAConfig{}, "no usable root",
		},
		"no directory": {
			func(dir string) error { return errors.Join(os.RemoveAll(dir), os.WriteFile(dir, nil, 0o600)) }, CAConfig{}, "not a directory",
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "ca")
			openCA(t, dir, CAConfig{})

			if test.spoil != nil {
				must(t, test.spoil(dir))
			}

			if _, err := OpenCA(dir, test.config); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("OpenCA() = %v, want %q", err, test.want)
			}
		})
	}
}

func must(t *testing.T, err error) {
	t.Helper()

	if err != nil {
		t.Fatal(err)
	}
}

func TestIssuedFiles(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "billing")
	ca := openCA(t, filepath.Join(t.TempDir(), "ca"), CAConfig{})
	issue(t, ca, dir, billing, "localhost", "127.0.0.1", "::1")

	certificate := leaf(t, dir)
	if life := certificate.NotAfter.Sub(certificate.NotBefore); life != DefaultLifetime+skew {
		t.Errorf("lasts %s, want 1h and a minute for clocks that differ", life)
	}

	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca.Bundle())

	for _, name := range []string{"localhost", "127.0.0.1", "[::1]"} {
		if _, err := certificate.Verify(x509.VerifyOptions{Roots: roots, DNSName: name}); err != nil {
			t.Errorf("not good for %s: %v", name, err)
		}
	}

	for _, name := range []string{SVIDFile, KeyFile, BundleFile} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}

	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%s: %v, %v", dir, info, err)
	}
}

func TestIssueRefuses(t *testing.T) {
	ca := openCA(t, filepath.Join(t.TempDir(), "ca"), CAConfig{})

	for _, uri := range []string{
		"", "billing", "spiffe://cluster.local", "spiffe://example.org/ns/default/sa/billing", "https://cluster.local/x",
	} {
		if err := ca.Issue(filepath.Join(t.TempDir(), "x"), uri); err == nil {
			t.Errorf("issued a certificate for %q", uri)
		}
	}

	open := t.TempDir()
	must(t, os.Chmod(open, 0o755))

	if err := ca.Issue(open, billing); err == nil || !strings.Contains(err.Error(), "chmod 700") {
		t.Errorf("Issue() into a directory that others can enter = %v", err)
	}
}

func TestRootSignsOnlyItsTrustDomain(t *testing.T) {
	ca := openCA(t, filepath.Join(t.TempDir(), "ca"), CAConfig{})
	roots := x509.NewCertPool()
	roots.AddCert(ca.root.certificate)

	stolen := &CA{config: CAConfig{TrustDomain: "example.org"}.withDefaults(), root: ca.root, issued: map[string]*issuance{}}
	dir := filepath.Join(t.TempDir(), "x")
	issue(t, stolen, dir, "spiffe://example.org/ns/default/sa/billing")

	if _, err := leaf(t, dir).Verify(x509.VerifyOptions{Roots: roots}); err == nil {
		t.Error("the root's key made a certificate for another trust domain that verifies")
	}
}

func TestRenewalAtHalfOfTheLifetime(t *testing.T) {
	clock := newClock()
	ca := openCA(t, filepath.Join(t.TempDir(), "ca"), CAConfig{Now: clock.Now})
	kept, forgotten := filepath.Join(t.TempDir(), "kept"), filepath.Join(t.TempDir(), "forgotten")

	issue(t, ca, kept, billing, "localhost")
	issue(t, ca, forgotten, billing)
	ca.Forget(forgotten)

	first, other := leaf(t, kept), leaf(t, forgotten)

	clock.advance(29 * time.Minute)
	ca.renewDue(t.Context())

	if !leaf(t, kept).Equal(first) {
		t.Error("renewed before half of the lifetime")
	}

	clock.advance(2 * time.Minute)
	ca.renewDue(t.Context())

	if second := leaf(t, kept); second.Equal(first) || second.DNSNames[0] != "localhost" {
		t.Error("not renewed, or not for the same names")
	}

	if !leaf(t, forgotten).Equal(other) {
		t.Error("what was forgotten was renewed")
	}
}

func TestOldVersionsGo(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "billing")
	ca := openCA(t, filepath.Join(t.TempDir(), "ca"), CAConfig{})

	for range 5 {
		issue(t, ca, dir, billing)
	}

	versions, _ := filepath.Glob(filepath.Join(dir, versionPrefix+"*"))
	if len(versions) != 2 {
		t.Errorf("%d versions are kept, want the current and the one before", len(versions))
	}
}

func FuzzParseRoot(f *testing.F) {
	made, err := makeRoot(DefaultTrustDomain, time.Now())
	if err != nil {
		f.Fatal(err)
	}

	data, err := encodeRoot(made)
	if err != nil {
		f.Fatal(err)
	}

	f.Add(data)
	f.Add(data[:len(data)/2])
	f.Add([]byte("-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		parsed, err := parseRoot(data)
		if err == nil && (parsed.certificate == nil || parsed.key == nil) {
			t.Error("half a root was accepted")
		}
	})
}
