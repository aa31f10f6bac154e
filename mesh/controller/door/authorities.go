package door

import (
	"context"
	"crypto/x509"
	"fmt"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// Where a cluster says who signs its clients' certificates.
const (
	authorityNamespace = "kube-system"
	authorityConfigMap = "extension-apiserver-authentication"
	authorityKey       = "client-ca-file"

	// authorityAge is how long what was read is good for; a certificate that it does not know has it read again, but not
	// more often than once in authorityPause.
	authorityAge   = time.Minute
	authorityPause = time.Second
)

// authorities are who signs the certificates of the cluster's clients.
type authorities struct {
	kubernetes kubernetes.Interface

	mu   sync.Mutex
	pool *x509.CertPool
	read time.Time
}

// verify checks that a client of the cluster shows the certificate.
func (a *authorities) verify(ctx context.Context, shown []*x509.Certificate) error {
	options := x509.VerifyOptions{Intermediates: x509.NewCertPool(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	for _, one := range shown[1:] {
		options.Intermediates.AddCert(one)
	}

	var failed error

	for _, age := range []time.Duration{authorityAge, authorityPause} {
		pool, err := a.current(ctx, age)
		if err != nil {
			return err
		}

		options.Roots = pool

		if _, failed = shown[0].Verify(options); failed == nil {
			return nil
		}
	}

	return fmt.Errorf("%w: %w", errUnknownClient, failed)
}

// current returns the authorities, read anew if that was longer ago.
func (a *authorities) current(ctx context.Context, age time.Duration) (*x509.CertPool, error) {
	a.mu.Lock()
	defer a.mu.Unlock()

	if a.pool != nil && time.Since(a.read) < age {
		return a.pool, nil
	}

	found, err := a.kubernetes.CoreV1().ConfigMaps(authorityNamespace).Get(ctx, authorityConfigMap, metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("read the cluster's authorities for clients: %w", err)
	}

	pool := x509.NewCertPool()
	if text := found.Data[authorityKey]; text != "" && !pool.AppendCertsFromPEM([]byte(text)) {
		return nil, fmt.Errorf("ConfigMap %s/%s: %s is not PEM", authorityNamespace, authorityConfigMap, authorityKey)
	}

	a.pool, a.read = pool, time.Now()

	return pool, nil
}
