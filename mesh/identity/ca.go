// Package identity gives workloads their certificates: from a local authority that issues short-lived ones into
// directories and rotates them, or from istiod; and a source that reads them again when they change.
package identity

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
)

const (
	// DefaultTrustDomain is Istio's default as well.
	DefaultTrustDomain = "cluster.local"
	// DefaultLifetime is how long a workload's certificate is good.
	DefaultLifetime = time.Hour

	rootFile = "ca.pem"
)

// CAConfig says what an authority is like. Zero values are the defaults.
type CAConfig struct {
	// TrustDomain is the only one that certificates are issued for; empty means cluster.local.
	TrustDomain string
	// Lifetime is how long issued certificates are good; 0 means 1 h. They are renewed at half of it.
	Lifetime time.Duration
	// Logger gets what [CA.Run] does; nil discards it.
	Logger *slog.Logger
	// Now is the clock; nil means [time.Now].
	Now func() time.Time
}

// CA is a local authority. Make it with [OpenCA].
type CA struct {
	config CAConfig
	root   root

	mu     sync.Mutex
	issued map[string]*issuance // by directory
}

// issuance is what must be renewed.
type issuance struct {
	uri   string
	names []string
	renew time.Time
}

// OpenCA opens the authority whose root is kept in dir, and makes both if they are not there. It refuses a directory or
// a root that others than the owner can read, a root of another trust domain, and an expired one.
func OpenCA(dir string, config CAConfig) (*CA, error) {
	config = config.withDefaults()

	if _, err := spiffeid.TrustDomainFromString(config.TrustDomain); err != nil {
		return nil, fmt.Errorf("trust domain %q: %w", config.TrustDomain, err)
	}

	if err := makePrivate(dir); err != nil {
		return nil, err
	}

	path := filepath.Join(dir, rootFile)

	loaded, err := loadOrMakeRoot(path, config.TrustDomain, config.Now())
	if err != nil {
		return nil, err
	}

	if err := checkRoot(loaded.certificate, config); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}

	return &CA{config: config, root: loaded, issued: map[string]*issuance{}}, nil
}

func (c CAConfig) withDefaults() CAConfig {
	if c.TrustDomain == "" {
		c.TrustDomain = DefaultTrustDomain
	}

	if c.Lifetime == 0 {
		c.Lifetime = DefaultLifetime
	}

	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}

	if c.Now == nil {
		c.Now = time.Now
	}

	return c
}

func checkRoot(certificate *x509.Certificate, config CAConfig) error {
	if len(certificate.URIs) != 1 || certificate.URIs[0].Host != config.TrustDomain {
		return fmt.Errorf("this root is not of the trust domain %s; remove the file to make a new one", config.TrustDomain)
	}

	if config.Now().After(certificate.NotAfter) {
		return fmt.Errorf("this root expired at %s; remove the file to make a new one", certificate.NotAfter.Format(time.RFC3339))
	}

	return nil
}

// Bundle returns the root certificate in PEM: what clients trust.
func (ca *CA) Bundle() []byte { return encodeCertificate(ca.root.certificate) }

// Issue writes svid.pem, key.pem and bundle.pem for a SPIFFE ID into dir, so that a reader never sees a pair that does
// not match, and keeps them fresh while [CA.Run] runs. Names are DNS names and IP addresses that the certificate is
// good for besides, for servers that clients outside of the mesh call.
func (ca *CA) Issue(dir, uri string, names ...string) error {
	ca.mu.Lock()
	defer ca.mu.Unlock()

	return ca.issue(dir, &issuance{uri: uri, names: slices.Clone(names)})
}

// Forget ends the renewal of what was issued into dir.
func (ca *CA) Forget(dir string) {
	ca.mu.Lock()
	defer ca.mu.Unlock()

	delete(ca.issued, dir)
}

func (ca *CA) issue(dir string, entry *issuance) error {
	now := ca.config.Now().Round(0) // the wall clock: a suspended machine ages certificates too

	files, err := ca.sign(entry.uri, entry.names, now)
	if err != nil {
		return fmt.Errorf("issuing a certificate for %q: %w", entry.uri, err)
	}

	if err := publish(dir, files); err != nil {
		return err
	}

	entry.renew = now.Add(ca.config.Lifetime / 2)
	ca.issued[dir] = entry

	return nil
}

// sign makes a key, a certificate for it, and returns the files' contents.
func (ca *CA) sign(uri string, names []string, now time.Time) (map[string][]byte, error) {
	template, err := ca.template(uri, names, now)
	if err != nil {
		return nil, err
	}

	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making a key: %w", err)
	}

	der, err := x509.CreateCertificate(rand.Reader, template, ca.root.certificate, key.Public(), ca.root.key)
	if err != nil {
		return nil, fmt.Errorf("signing: %w", err)
	}

	encoded, err := encodeKey(key)
	if err != nil {
		return nil, err
	}

	return map[string][]byte{
		SVIDFile: encodeCertificate(&x509.Certificate{Raw: der}), KeyFile: encoded, BundleFile: ca.Bundle(),
	}, nil
}

func (ca *CA) template(uri string, names []string, now time.Time) (*x509.Certificate, error) {
	id, err := spiffeid.FromString(uri)
	if err != nil {
		return nil, fmt.Errorf("not a SPIFFE ID: %w", err)
	}

	if id.TrustDomain().Name() != ca.config.TrustDomain {
		return nil, fmt.Errorf("the authority's trust domain is %s", ca.config.TrustDomain)
	}

	if id.Path() == "" {
		return nil, errors.New("a workload's SPIFFE ID needs a path")
	}

	template := &x509.Certificate{
		URIs:      []*url.URL{id.URL()},
		NotBefore: now.Add(-skew), NotAfter: earlier(now.Add(ca.config.Lifetime), ca.root.certificate.NotAfter),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true,
	}

	for _, name := range names {
		if address := net.ParseIP(name); address != nil {
			template.IPAddresses = append(template.IPAddresses, address)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}

	return template, nil
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}

	return b
}
