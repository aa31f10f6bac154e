package identity

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"time"
)

const (
	typeCertificate = "CERTIFICATE"
	typeKey         = "PRIVATE KEY"

	rootLifetime = 10 * 365 * 24 * time.Hour
	skew         = time.Minute // how far clocks may be apart
)

// root is the authority's own certificate and key.
type root struct {
	certificate *x509.Certificate
	key         crypto.Signer
}

// loadOrMakeRoot reads the root from path, or makes it. Certificate and key are one file, so that they are never torn.
func loadOrMakeRoot(path, trustDomain string, now time.Time) (root, error) {
	loaded, err := loadRoot(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return loaded, err
	}

	made, err := makeRoot(trustDomain, now)
	if err != nil {
		return root{}, err
	}

	data, err := encodeRoot(made)
	if err != nil {
		return root{}, err
	}

	if err := writeOnce(path, data); errors.Is(err, fs.ErrExist) {
		return loadRoot(path)
	} else if err != nil {
		return root{}, err
	}

	return made, nil
}

func makeRoot(trustDomain string, now time.Time) (root, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return root{}, fmt.Errorf("making the root's key: %w", err)
	}

	template := &x509.Certificate{
		Subject:   pkix.Name{Organization: []string{"Serin"}, CommonName: "Serin local authority for " + trustDomain},
		URIs:      []*url.URL{{Scheme: "spiffe", Host: trustDomain}},
		NotBefore: now.Add(-skew), NotAfter: now.Add(rootLifetime),
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		IsCA:     true, BasicConstraintsValid: true, MaxPathLenZero: true,
		PermittedURIDomains: []string{trustDomain}, PermittedDNSDomainsCritical: true, // name constraints as a whole
	}

	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return root{}, fmt.Errorf("making the root certificate: %w", err)
	}

	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return root{}, fmt.Errorf("making the root certificate: %w", err)
	}

	return root{certificate: certificate, key: key}, nil
}

func encodeRoot(made root) ([]byte, error) {
	key, err := encodeKey(made.key)
	if err != nil {
		return nil, err
	}

	return append(encodeCertificate(made.certificate), key...), nil
}

func loadRoot(path string) (root, error) {
	data, err := os.ReadFile(path) //nolint:gosec // the authority's own file
	if err != nil {
		return root{}, fmt.Errorf("reading the root: %w", err)
	}

	if err := checkPrivate(path, 0o600); err != nil {
		return root{}, err
	}

	loaded, err := parseRoot(data)
	if err != nil {
		return root{}, fmt.Errorf("%s: %w", path, err)
	}

	return loaded, nil
}

// parseRoot reads one certificate and one key that belong together.
func parseRoot(data []byte) (root, error) {
	var (
		parsed root
		err    error
	)

	for block, rest := pem.Decode(data); block != nil && err == nil; block, rest = pem.Decode(rest) {
		switch block.Type {
		case typeCertificate:
			parsed.certificate, err = x509.ParseCertificate(block.Bytes)
		case typeKey:
			parsed.key, err = parseKey(block.Bytes)
		}
	}

	if err != nil {
		return root{}, fmt.Errorf("no usable root: %w", err)
	}

	if parsed.certificate == nil || parsed.key == nil {
		return root{}, errors.New("no usable root: it must hold a CERTIFICATE and a PRIVATE KEY")
	}

	public, ok := parsed.key.Public().(*ecdsa.PublicKey)
	if !ok || !public.Equal(parsed.certificate.PublicKey) || !parsed.certificate.IsCA {
		return root{}, errors.New("no usable root: key and certificate do not belong together")
	}

	return parsed, nil
}

func parseKey(der []byte) (crypto.Signer, error) {
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, fmt.Errorf("parsing the key: %w", err)
	}

	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("a key of type %T cannot sign", key)
	}

	return signer, nil
}

func encodeKey(key crypto.Signer) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encoding a key: %w", err)
	}

	return pem.EncodeToMemory(&pem.Block{Type: typeKey, Bytes: der}), nil
}

func encodeCertificate(certificate *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: typeCertificate, Bytes: certificate.Raw})
}
