package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"google.golang.org/grpc/credentials/tls/certprovider"
	"google.golang.org/grpc/credentials/tls/certprovider/pemfile"
)

// publicRefresh is how soon a renewed certificate of the public door is taken; Kubernetes itself takes about a minute
// to bring a changed Secret into a pod.
const publicRefresh = 30 * time.Second

// secretTLS is the TLS of a server whose certificate is in a directory as Kubernetes mounts a Secret of type
// kubernetes.io/tls, renewed there. The function ends watching it.
func secretTLS(directory string) (*tls.Config, func(), error) {
	certificate, key := filepath.Join(directory, "tls.crt"), filepath.Join(directory, "tls.key")

	if _, err := tls.LoadX509KeyPair(certificate, key); err != nil {
		return nil, nil, fmt.Errorf("gateway.publicTLS: %w", err)
	}

	provider, err := pemfile.NewProvider(pemfile.Options{CertFile: certificate, KeyFile: key, RefreshDuration: publicRefresh})
	if err != nil {
		return nil, nil, fmt.Errorf("gateway.publicTLS: %w", err)
	}

	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			return current(hello.Context(), provider)
		},
	}, provider.Close, nil
}

func current(ctx context.Context, provider certprovider.Provider) (*tls.Certificate, error) {
	material, err := provider.KeyMaterial(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the public certificate: %w", err)
	}

	if len(material.Certs) == 0 {
		return nil, errors.New("read the public certificate: there is none")
	}

	return &material.Certs[0], nil
}
