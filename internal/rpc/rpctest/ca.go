// Package rpctest serves gRPC over real mutual TLS in tests, under identities of a throw-away authority.
package rpctest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"net/url"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"

	"github.com/serinhq/serin/internal/rpc"
)

// Namespace is the one that short names belong to.
const Namespace = "default"

// CA is an authority that lives in memory.
type CA struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// NewCA makes an authority.
func NewCA(tb testing.TB) *CA {
	tb.Helper()

	key := newKey(tb)
	template := &x509.Certificate{
		Subject:  pkix.Name{CommonName: "rpctest"},
		NotAfter: time.Now().Add(time.Hour), NotBefore: time.Now().Add(-time.Minute),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}

	return &CA{certificate: sign(tb, template, template, key, key), key: key}
}

// Identity is the identity of a short name; a whole SPIFFE ID stays what it is.
func Identity(tb testing.TB, name string) rpc.Identity {
	tb.Helper()

	id, err := rpc.ParseIdentity(name)
	if err == nil {
		return id
	}

	id, err = rpc.ParseIdentity(rpc.Identity{TrustDomain: rpc.DefaultTrustDomain, Namespace: Namespace, Name: name}.String())
	if err != nil {
		tb.Fatal(err)
	}

	return id
}

// Credentials issues a certificate that lasts for an hour. The name is short, such as billing, or a whole SPIFFE ID.
func (ca *CA) Credentials(tb testing.TB, name string) rpc.Credentials {
	tb.Helper()

	return ca.CredentialsUntil(tb, name, time.Now().Add(time.Hour))
}

// CredentialsUntil issues a certificate that expires when told, which may be in the past.
func (ca *CA) CredentialsUntil(tb testing.TB, name string, notAfter time.Time) rpc.Credentials {
	tb.Helper()

	uri, err := url.Parse(Identity(tb, name).String())
	if err != nil {
		tb.Fatal(err)
	}

	key := newKey(tb)
	leaf := sign(tb, &x509.Certificate{
		URIs: []*url.URL{uri}, NotBefore: notAfter.Add(-2 * time.Hour), NotAfter: notAfter,
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, ca.certificate, key, ca.key)
	id := spiffeid.RequireFromURI(uri)

	return rpc.Credentials{
		SVID:   &x509svid.SVID{ID: id, Certificates: []*x509.Certificate{leaf}, PrivateKey: key},
		Bundle: x509bundle.FromX509Authorities(id.TrustDomain(), []*x509.Certificate{ca.certificate}),
	}
}

func newKey(tb testing.TB) *ecdsa.PrivateKey {
	tb.Helper()

	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}

	return key
}

func sign(tb testing.TB, template, parent *x509.Certificate, key, parentKey *ecdsa.PrivateKey) *x509.Certificate {
	tb.Helper()

	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, parentKey)
	if err != nil {
		tb.Fatal(err)
	}

	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		tb.Fatal(err)
	}

	return certificate
}
