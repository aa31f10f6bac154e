package rpc

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/spiffetls/tlsconfig"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"
)

// Credentials are a workload's certificate and the authorities that it trusts. Both are asked for at each handshake, so
// that they can be rotated while connections stay open.
type Credentials struct {
	SVID   x509svid.Source
	Bundle x509bundle.Source
	// Sidecar is set instead, where an Envoy beside the process holds the certificate: who that says that the workload is.
	Sidecar Identity
}

// Identity returns who the certificate says that this workload is.
func (c Credentials) Identity() (Identity, error) {
	if c.atSidecar() {
		return ParseIdentity(c.Sidecar.String())
	}

	if c.SVID == nil || c.Bundle == nil {
		return Identity{}, errors.New("credentials: both SVID and Bundle are needed")
	}

	svid, err := c.SVID.GetX509SVID()
	if err != nil {
		return Identity{}, fmt.Errorf("reading the workload's certificate: %w", err)
	}

	return ParseIdentity(svid.ID.String())
}

// ServerTLS requires a client certificate of this workload's own trust domain. With allow, the handshake also fails for
// identities that it refuses; nil allows all of the trust domain.
func (c Credentials) ServerTLS(allow Caller) *tls.Config {
	config := tlsconfig.MTLSServerConfig(c.SVID, c.Bundle, c.authorize(allow))
	harden(config)

	return config
}

// ClientTLS accepts a server only if it proves to be exactly peer.
func (c Credentials) ClientTLS(peer Identity) *tls.Config {
	config := tlsconfig.MTLSClientConfig(c.SVID, c.Bundle, c.authorize(func(id Identity) bool { return id == peer }))
	harden(config)

	return config
}

// harden: a resumed session would skip the verification of the peer's certificate, and outlive it.
func harden(config *tls.Config) {
	config.MinVersion = tls.VersionTLS13
	config.SessionTicketsDisabled = true
	config.ClientSessionCache = nil
}

func (c Credentials) authorize(allow Caller) tlsconfig.Authorizer {
	return func(id spiffeid.ID, _ [][]*x509.Certificate) error {
		own, err := c.Identity()
		if err != nil {
			return err
		}

		peer, err := ParseIdentity(id.String())
		if err != nil {
			return err
		}

		if peer.TrustDomain != own.TrustDomain {
			return fmt.Errorf("peer %s is not of the trust domain %s", peer, own.TrustDomain)
		}

		if allow != nil && !allow(peer) {
			return fmt.Errorf("peer %s is not who is expected here", peer)
		}

		return nil
	}
}
