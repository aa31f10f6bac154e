package identity

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/url"
	"os"
	"strings"

	securityv1alpha1 "istio.io/api/security/v1alpha1"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/serinhq/serin/internal/fault"
	"github.com/serinhq/serin/internal/rpc"
)

// signingRequest is a new key, and the request for a certificate of it in PEM.
type signingRequest struct {
	key *ecdsa.PrivateKey
	pem []byte
}

func newSigningRequest(id rpc.Identity) (*signingRequest, error) {
	uri, err := url.Parse(id.String())
	if err != nil {
		return nil, fmt.Errorf("making a signing request: %w", err)
	}

	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making a key: %w", err)
	}

	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{URIs: []*url.URL{uri}}, key)
	if err != nil {
		return nil, fmt.Errorf("making a signing request: %w", err)
	}

	return &signingRequest{key, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})}, nil
}

// roots are the certificates of a file, and the file as it is.
type roots struct {
	certificates []*x509.Certificate
	pem          []byte
}

func (i *Istiod) readRoot() (*roots, error) {
	path := i.config.RootFile

	data, err := os.ReadFile(path) //nolint:gosec // the configuration names it
	if err != nil {
		return nil, fault.New(codes.FailedPrecondition, "NO_ROOT",
			"reading who vouches for istiod: %w; mount the ConfigMap istio-ca-root-cert there", err)
	}

	certificates, err := parseCertificates(data)
	if err != nil || len(certificates) == 0 {
		return nil, fault.New(codes.FailedPrecondition, "NO_ROOT",
			"%s holds no certificate that vouches for istiod, but must be root-cert.pem of the ConfigMap istio-ca-root-cert", path)
	}

	return &roots{certificates, data}, nil
}

func (i *Istiod) readToken() (string, error) {
	data, err := os.ReadFile(i.config.TokenFile)
	if err != nil {
		return "", fault.New(codes.FailedPrecondition, "NO_TOKEN",
			"reading the token for istiod: %w; mount a service account token with the audience %s there", err, TokenAudience)
	}

	token := strings.TrimSpace(string(data))
	if token == "" {
		return "", fault.New(codes.FailedPrecondition, "NO_TOKEN",
			"%s is empty, but must hold a service account token with the audience %s", i.config.TokenFile, TokenAudience)
	}

	return token, nil
}

// ask has istiod sign the request, and returns the chain that it answers with.
func (i *Istiod) ask(ctx context.Context, root *roots, request []byte) ([]string, error) {
	token, err := i.readToken()
	if err != nil {
		return nil, err
	}

	connection, err := i.dial(root)
	if err != nil {
		return nil, err
	}
	defer connection.Close() //nolint:errcheck // the answer is what counts

	ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token, "clusterid", i.config.ClusterID)

	answer, err := securityv1alpha1.NewIstioCertificateServiceClient(connection).CreateCertificate(ctx,
		&securityv1alpha1.IstioCertificateRequest{
			Csr: string(request), ValidityDuration: int64(i.config.Lifetime.Seconds()),
		})
	if err != nil {
		return nil, i.explain(err, token)
	}

	return answer.GetCertChain(), nil
}

// dial makes a connection for one call: what vouches for istiod may be another the next time.
func (i *Istiod) dial(root *roots) (*grpc.ClientConn, error) {
	pool := x509.NewCertPool()
	for _, certificate := range root.certificates {
		pool.AddCert(certificate)
	}

	connection, err := grpc.NewClient("dns:///"+i.config.Address,
		grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12})),
		grpc.WithNoProxy(), grpc.WithDisableServiceConfig(),
	)
	if err != nil {
		return nil, fmt.Errorf("dialing istiod at %s: %w", i.config.Address, err)
	}

	return connection, nil
}

// explain says what a refusal most likely comes from.
func (i *Istiod) explain(err error, token string) error {
	refusal := status.Convert(err)

	switch {
	case refusal.Code() == codes.Unauthenticated:
		return fault.New(codes.Unauthenticated, "TOKEN_REFUSED",
			"istiod refused the token in %s, which %s; it needs one of this service account with the audience %s: %s",
			i.config.TokenFile, describeToken(token, i.now()), TokenAudience, refusal.Message())
	case refusal.Code() == codes.Unavailable && strings.Contains(refusal.Message(), "x509:"):
		return fault.New(codes.Unavailable, "ISTIOD_NOT_TRUSTED", "%s does not vouch for who answers: %s",
			i.config.RootFile, refusal.Message())
	default:
		return fault.New(refusal.Code(), "NO_CERTIFICATE", "%s: %s", refusal.Code(), refusal.Message())
	}
}
