package identity

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"slices"
	"time"

	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"
	"google.golang.org/grpc/codes"

	"github.com/serinhq/serin/internal/fault"
)

// answer is a certificate with what leads to an authority, and whom to trust from now on.
type answer struct {
	path, trusted []*x509.Certificate
}

// verify reads istiod's answer: the workload's certificate first, the authority's own last. It refuses one that peers
// would refuse, and one of somebody else.
func (i *Istiod) verify(chain []string, mounted *roots, key *ecdsa.PrivateKey) (*answer, error) {
	answer, err := readAnswer(chain, mounted)
	if err != nil {
		return nil, fault.New(codes.Internal, "BAD_CERTIFICATE", "istiod at %s answered with %w", i.config.Address, err)
	}

	leaf := answer.path[0]

	if public, ok := leaf.PublicKey.(*ecdsa.PublicKey); !ok || !public.Equal(key.Public()) {
		return nil, fault.New(codes.Internal, "BAD_CERTIFICATE", "istiod at %s certified another key than was asked for", i.config.Address)
	}

	id, err := x509svid.IDFromCert(leaf)
	if err != nil {
		return nil, fault.New(codes.Internal, "BAD_CERTIFICATE", "istiod at %s answered with no SPIFFE certificate: %w", i.config.Address, err)
	}

	if id.String() != i.config.Identity.String() {
		return nil, fault.New(codes.FailedPrecondition, "WRONG_IDENTITY",
			"istiod says that this workload is %s, but it is configured as %s: its pod's service account, its namespace and the mesh's trust domain must be those", //nolint:lll // one sentence
			id, i.config.Identity)
	}

	if err := checkTimes(leaf, i.now()); err != nil {
		return nil, err
	}

	bundle := x509bundle.FromX509Authorities(id.TrustDomain(), answer.trusted)
	if _, _, err := x509svid.Verify(answer.path, bundle, x509svid.WithTime(i.now())); err != nil {
		return nil, fault.New(codes.Internal, "BAD_CERTIFICATE", "istiod at %s answered with a certificate that cannot be used: %w",
			i.config.Address, err)
	}

	return answer, nil
}

// checkTimes tells a wrong clock from other troubles.
func checkTimes(leaf *x509.Certificate, now time.Time) error {
	clock := now.UTC().Format(time.RFC3339)

	switch {
	case now.Before(leaf.NotBefore):
		return fault.New(codes.FailedPrecondition, "CLOCK_SKEW",
			"istiod's certificate is not valid before %s, and here it is %s: the clocks must be set",
			leaf.NotBefore.UTC().Format(time.RFC3339), clock)
	case !now.Before(leaf.NotAfter):
		return fault.New(codes.FailedPrecondition, "CLOCK_SKEW",
			"istiod's certificate expired at %s already, and here it is %s: the clocks must be set",
			leaf.NotAfter.UTC().Format(time.RFC3339), clock)
	default:
		return nil
	}
}

// readAnswer takes a chain apart. Its last element is the authority's own certificate, or several of them while it is
// rotated; who vouches for istiod today is trusted besides, so that both sides of a rotation understand each other.
func readAnswer(chain []string, mounted *roots) (*answer, error) {
	parsed := &answer{trusted: slices.Clone(mounted.certificates)}

	for index, text := range chain {
		certificates, err := parseCertificates([]byte(text))
		if err != nil {
			return nil, fmt.Errorf("what is no certificate: %w", err)
		}

		for _, certificate := range certificates {
			if index == len(chain)-1 && isRoot(certificate) {
				parsed.trust(certificate)
			} else {
				parsed.path = append(parsed.path, certificate)
			}
		}
	}

	if len(parsed.path) == 0 {
		return nil, fmt.Errorf("no certificate in a chain of %d elements", len(chain))
	}

	return parsed, nil
}

// isRoot tells an authority's own certificate from one that leads to it.
func isRoot(certificate *x509.Certificate) bool {
	return certificate.IsCA && string(certificate.RawSubject) == string(certificate.RawIssuer)
}

func (a *answer) trust(certificate *x509.Certificate) {
	if !slices.ContainsFunc(a.trusted, certificate.Equal) {
		a.trusted = append(a.trusted, certificate)
	}
}

// files are what is published.
func (a *answer) files(key *ecdsa.PrivateKey) (map[string][]byte, error) {
	encoded, err := encodeKey(key)
	if err != nil {
		return nil, err
	}

	return map[string][]byte{SVIDFile: encodeCertificates(a.path), KeyFile: encoded, BundleFile: encodeCertificates(a.trusted)}, nil
}

func encodeCertificates(certificates []*x509.Certificate) []byte {
	encoded := make([][]byte, len(certificates))
	for i, certificate := range certificates {
		encoded[i] = encodeCertificate(certificate)
	}

	return bytes.Join(encoded, nil)
}

// parseCertificates reads all certificates in PEM.
func parseCertificates(data []byte) ([]*x509.Certificate, error) {
	var certificates []*x509.Certificate

	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != typeCertificate {
			continue
		}

		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("parsing a certificate: %w", err)
		}

		certificates = append(certificates, certificate)
	}

	return certificates, nil
}
