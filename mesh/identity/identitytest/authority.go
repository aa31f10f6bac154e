package identitytest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"net/url"
	"testing"
	"time"
)

// authority signs with its root, or with an intermediate certificate below it.
type authority struct {
	root   *x509.Certificate
	signer *x509.Certificate
	key    *ecdsa.PrivateKey
	pool   *x509.CertPool
	server tls.Certificate
}

func newAuthority(tb testing.TB, intermediate bool) *authority {
	tb.Helper()

	made, err := makeAuthority(intermediate)
	if err != nil {
		tb.Fatal(err)
	}

	return made
}

func makeAuthority(intermediate bool) (*authority, error) {
	made := &authority{pool: x509.NewCertPool()}

	root, rootKey, err := issue(caTemplate("root"), nil, nil)
	if err != nil {
		return nil, err
	}

	made.root, made.signer, made.key = root, root, rootKey
	made.pool.AddCert(root)

	if intermediate {
		if made.signer, made.key, err = issue(caTemplate("intermediate"), root, rootKey); err != nil {
			return nil, err
		}
	}

	server, serverKey, err := issue(&x509.Certificate{
		DNSNames: []string{"localhost"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, made.signer, made.key)
	if err != nil {
		return nil, err
	}

	made.server = tls.Certificate{Certificate: [][]byte{server.Raw}, PrivateKey: serverKey}
	if intermediate {
		made.server.Certificate = append(made.server.Certificate, made.signer.Raw)
	}

	return made, nil
}

func caTemplate(name string) *x509.Certificate {
	return &x509.Certificate{
		Subject:   pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
}

// issue makes a key and a certificate for it; without a parent it signs itself.
func issue(template, parent *x509.Certificate, parentKey *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("making a key: %w", err)
	}

	if parent == nil {
		parent, parentKey = template, key
	}

	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), parentKey)
	if err != nil {
		return nil, nil, fmt.Errorf("signing: %w", err)
	}

	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, nil, fmt.Errorf("parsing what was signed: %w", err)
	}

	return certificate, key, nil
}

// sign returns the chain in istiod's form: the certificate, what is between, the root.
func (a *authority) sign(public any, uri string, from, to time.Time) ([]string, error) {
	id, err := url.Parse(uri)
	if err != nil {
		return nil, fmt.Errorf("identity: %w", err)
	}

	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		URIs: []*url.URL{id}, NotBefore: from, NotAfter: to, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}, BasicConstraintsValid: true,
	}, a.signer, public, a.key)
	if err != nil {
		return nil, fmt.Errorf("signing: %w", err)
	}

	chain := []string{string(encode(der))}
	if a.signer != a.root {
		chain = append(chain, string(encode(a.signer.Raw)))
	}

	return append(chain, string(encode(a.root.Raw))), nil
}

func encode(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}
