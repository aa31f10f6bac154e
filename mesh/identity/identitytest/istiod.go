// Package identitytest plays istiod for tests: a certificate authority that takes service account tokens, over TLS.
package identitytest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	securityv1alpha1 "istio.io/api/security/v1alpha1"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/serinhq/serin/internal/testenv"
)

// Istiod is a stand-in for istiod's secure port. Its certificates are good for the host localhost.
type Istiod struct {
	securityv1alpha1.UnimplementedIstioCertificateServiceServer

	tb testing.TB

	mu        sync.Mutex
	address   string
	register  []func(*grpc.Server)
	server    *grpc.Server
	authority *authority
	tokens    map[string]string
	lifetime  time.Duration
	start     time.Duration
	issued    map[string]int
	request   *x509.CertificateRequest
}

// New makes one that issues certificates for an hour. It is away until [Istiod.Start]; its address is known before.
func New(tb testing.TB) *Istiod {
	tb.Helper()

	istiod := &Istiod{
		tb: tb, address: strings.Replace(testenv.FreePort(tb), "127.0.0.1", "localhost", 1), authority: newAuthority(tb, false), tokens: map[string]string{}, lifetime: time.Hour,
		start: -2 * time.Minute, issued: map[string]int{},
	}
	tb.Cleanup(istiod.Stop)

	return istiod
}

// Address is what to dial.
func (i *Istiod) Address() string { return i.address }

// Serve has further services on the same port, as istiod serves xDS there; before Start.
func (i *Istiod) Serve(register func(*grpc.Server)) { i.register = append(i.register, register) }

// Start makes it reachable, again if need be.
func (i *Istiod) Start() {
	i.tb.Helper()

	listener, err := net.Listen("tcp", strings.Replace(i.address, "localhost", "127.0.0.1", 1)) //nolint:noctx // taking a local port does not block
	if err != nil {
		i.tb.Fatal(err)
	}

	i.mu.Lock()
	defer i.mu.Unlock()

	i.server = grpc.NewServer(grpc.Creds(credentials.NewTLS(&tls.Config{
		MinVersion: tls.VersionTLS12, GetConfigForClient: i.security, NextProtos: []string{"h2"},
	})))
	securityv1alpha1.RegisterIstioCertificateServiceServer(i.server, i)

	for _, register := range i.register {
		register(i.server)
	}

	go func(server *grpc.Server) { _ = server.Serve(listener) }(i.server) // it ends by Stop
}

// security is that of the authority of the moment. As with istiod, callers may show a certificate.
func (i *Istiod) security(*tls.ClientHelloInfo) (*tls.Config, error) {
	i.mu.Lock()
	defer i.mu.Unlock()

	return &tls.Config{
		MinVersion: tls.VersionTLS12, NextProtos: []string{"h2"}, ClientAuth: tls.VerifyClientCertIfGiven,
		Certificates: []tls.Certificate{i.authority.server}, ClientCAs: i.authority.pool,
	}, nil
}

// Stop makes it unreachable.
func (i *Istiod) Stop() {
	i.mu.Lock()
	server := i.server
	i.server = nil
	i.mu.Unlock()

	if server != nil {
		server.Stop()
	}
}

// Allow has a token stand for an identity, such as spiffe://cluster.local/ns/shop/sa/billing.
func (i *Istiod) Allow(token, uri string) {
	i.mu.Lock()
	defer i.mu.Unlock()

	i.tokens[token] = uri
}

// Revoke refuses a token from now on.
func (i *Istiod) Revoke(token string) {
	i.mu.Lock()
	defer i.mu.Unlock()

	delete(i.tokens, token)
}

// SetValidity has certificates begin so much from now on, usually a little in the past, and end so much from now on.
func (i *Istiod) SetValidity(start, end time.Duration) {
	i.mu.Lock()
	defer i.mu.Unlock()

	i.start, i.lifetime = start, end
}

// Rotate makes a new authority, which knows nothing of the old one. With intermediate, another one below it signs.
func (i *Istiod) Rotate(intermediate bool) {
	i.tb.Helper()

	made := newAuthority(i.tb, intermediate)

	i.mu.Lock()
	defer i.mu.Unlock()

	i.authority = made
}

// Root is the authority's own certificate in PEM.
func (i *Istiod) Root() []byte {
	i.mu.Lock()
	defer i.mu.Unlock()

	return encode(i.authority.root.Raw)
}

// WriteFiles puts token and root where a workload reads them.
func (i *Istiod) WriteFiles(token, tokenFile, rootFile string) {
	i.tb.Helper()

	for path, data := range map[string][]byte{tokenFile: []byte(token + "\n"), rootFile: i.Root()} {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			i.tb.Fatal(err)
		}
	}
}

// Issued is how many certificates an identity got.
func (i *Istiod) Issued(uri string) int {
	i.mu.Lock()
	defer i.mu.Unlock()

	return i.issued[uri]
}

// LastRequest is what was asked for last; nil before.
func (i *Istiod) LastRequest() *x509.CertificateRequest {
	i.mu.Lock()
	defer i.mu.Unlock()

	return i.request
}

// CreateCertificate signs for whom the token stands, whatever the request says.
func (i *Istiod) CreateCertificate(
	ctx context.Context, request *securityv1alpha1.IstioCertificateRequest,
) (*securityv1alpha1.IstioCertificateResponse, error) {
	i.mu.Lock()
	defer i.mu.Unlock()

	uri, ok := i.tokens[bearer(ctx)]
	if !ok {
		return nil, status.Error(codes.Unauthenticated, "request authenticate failure")
	}

	parsed, err := parseRequest(request.GetCsr())
	if err != nil {
		return nil, status.Errorf(codes.InvalidArgument, "CSR signing error (%v)", err)
	}

	now := time.Now()

	chain, err := i.authority.sign(parsed.PublicKey, uri, now.Add(i.start), now.Add(i.lifetime))
	if err != nil {
		return nil, status.Errorf(codes.Internal, "CSR signing error (%v)", err)
	}

	i.issued[uri]++
	i.request = parsed

	return &securityv1alpha1.IstioCertificateResponse{CertChain: chain}, nil
}

func bearer(ctx context.Context) string {
	headers := metadata.ValueFromIncomingContext(ctx, "authorization")
	if len(headers) != 1 {
		return ""
	}

	token, _ := strings.CutPrefix(headers[0], "Bearer ")

	return token
}

func parseRequest(text string) (*x509.CertificateRequest, error) {
	block, _ := pem.Decode([]byte(text))
	if block == nil || block.Type != "CERTIFICATE REQUEST" {
		return nil, fmt.Errorf("no certificate request in %q", text)
	}

	parsed, err := x509.ParseCertificateRequest(block.Bytes)
	if err == nil {
		err = parsed.CheckSignature()
	}

	if err != nil {
		return nil, fmt.Errorf("parsing the request: %w", err)
	}

	return parsed, nil
}
