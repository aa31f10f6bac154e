package app

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"strings"

	"google.golang.org/grpc/credentials"
	"k8s.io/client-go/rest"

	"github.com/serinhq/serin/mesh/controller/door"
)

// kubernetesIdentity shows at a controller's door what the kubeconfig shows to the API server: a bearer token, which may come
// from a file or a plugin and change, and a client certificate.
type kubernetesIdentity struct {
	config *rest.Config
}

// transport trusts the announced certificate and no other.
func (k kubernetesIdentity) transport(namespace string, announced door.Announcement) (credentials.TransportCredentials, error) {
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM([]byte(announced.Certificate)) {
		return nil, fmt.Errorf("the certificate of pod %s is not PEM", announced.Pod)
	}

	own, err := rest.TLSConfigFor(k.config)
	if err != nil {
		return nil, fmt.Errorf("kubeconfig: %w", err)
	}

	pinned := &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: pool, ServerName: door.ServerName(namespace)}
	if own != nil {
		pinned.Certificates, pinned.GetClientCertificate = own.Certificates, own.GetClientCertificate
	}

	return credentials.NewTLS(pinned), nil
}

// GetRequestMetadata returns the token that the API server would get now.
func (k kubernetesIdentity) GetRequestMetadata(ctx context.Context, _ ...string) (map[string]string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, k.config.Host, http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("kubeconfig: %w", err)
	}

	heard := &listener{}

	transport, err := rest.HTTPWrappersForConfig(k.config, heard)
	if err != nil {
		return nil, fmt.Errorf("kubeconfig: %w", err)
	}

	response, err := transport.RoundTrip(request)
	if err != nil {
		return nil, fmt.Errorf("kubeconfig: %w", err)
	}

	_ = response.Body.Close() // there is none

	if !strings.HasPrefix(heard.authorization, "Bearer ") {
		return nil, nil //nolint:nilnil // no token is no header
	}

	return map[string]string{"authorization": heard.authorization}, nil
}

// RequireTransportSecurity keeps the token off connections without TLS.
func (kubernetesIdentity) RequireTransportSecurity() bool { return true }

// listener hears what a request to the API server would carry, and sends nothing.
type listener struct{ authorization string }

// RoundTrip answers at once.
func (l *listener) RoundTrip(request *http.Request) (*http.Response, error) {
	l.authorization = request.Header.Get("Authorization")

	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: http.NoBody, Request: request}, nil
}
