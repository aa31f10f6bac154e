package identity

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/serinhq/serin/internal/fault"
	"github.com/serinhq/serin/internal/rpc"
)

const (
	// TokenAudience is whom a service account's token must be made for, so that istiod takes it.
	TokenAudience = "istio-ca"
	// DefaultIstiodLifetime is what istio's own agents ask for, and the most that istiod gives by default.
	DefaultIstiodLifetime = 24 * time.Hour
)

// IstiodConfig says how a workload gets its certificates on a cluster: straight from istiod, without an agent between.
type IstiodConfig struct {
	// Address is the host:port of istiod's secure port, such as istiod.istio-system.svc:15012. Its certificate must be
	// good for that host.
	Address string
	// Identity is who istiod must say that the workload is. istiod itself goes by the token alone.
	Identity rpc.Identity
	// TokenFile holds a token of the workload's service account for the audience istio-ca. It is read at each try, since
	// it is rotated.
	TokenFile string
	// RootFile holds who vouches for istiod: root-cert.pem of the ConfigMap istio-ca-root-cert. It is read again when it
	// changes.
	RootFile string
	// Directory is where svid.pem, key.pem and bundle.pem are kept fresh.
	Directory string
	// ClusterID names the cluster, as istiod knows it; empty means Kubernetes.
	ClusterID string
	// Lifetime is what is asked for; 0 means 24 h. istiod may give less.
	Lifetime time.Duration
	// Logger gets what cannot be renewed; nil discards it.
	Logger *slog.Logger
	// Now is the clock; nil means [time.Now].
	Now func() time.Time
}

// Istiod keeps a workload's certificate fresh with the help of istiod. Make it with [NewIstiod].
type Istiod struct {
	config IstiodConfig
	first  chan struct{} // closed once there is a certificate

	mu      sync.Mutex
	expires time.Time // zero while there is no certificate
	failure error     // of the last try
}

// NewIstiod checks the configuration; files and istiod itself may come later.
func NewIstiod(config IstiodConfig) (*Istiod, error) {
	if err := config.check(); err != nil {
		return nil, fmt.Errorf("certificates from istiod: %w", err)
	}

	config.ClusterID = cmp.Or(config.ClusterID, DefaultClusterID)
	config.Lifetime = cmp.Or(config.Lifetime, DefaultIstiodLifetime)
	config.Logger = cmp.Or(config.Logger, slog.New(slog.DiscardHandler))

	if config.Now == nil {
		config.Now = time.Now
	}

	return &Istiod{config: config, first: make(chan struct{})}, nil
}

func (c IstiodConfig) check() error {
	if host, port, err := net.SplitHostPort(c.Address); err != nil || host == "" || port == "" {
		return fmt.Errorf("field Address %q: must be host:port, such as istiod.istio-system.svc:15012", c.Address)
	}

	if _, err := rpc.ParseIdentity(c.Identity.String()); err != nil {
		return err
	}

	switch {
	case c.TokenFile == "":
		return errors.New("no TokenFile: it must hold a service account token for the audience " + TokenAudience)
	case c.RootFile == "":
		return errors.New("no RootFile: it must hold the certificate that vouches for istiod")
	case c.Directory == "":
		return errors.New("no Directory: certificates must be kept somewhere")
	case c.Lifetime < 0:
		return fmt.Errorf("field Lifetime %v: must not be negative", c.Lifetime)
	default:
		return nil
	}
}

// Issued is closed once there is a certificate.
func (i *Istiod) Issued() <-chan struct{} { return i.first }

// Check returns nil while the workload has a certificate that is good, else what it waits for. It is a check for
// readiness: UNAVAILABLE (NO_CERTIFICATE).
func (i *Istiod) Check(context.Context) error {
	i.mu.Lock()
	defer i.mu.Unlock()

	failure := i.failure
	if failure == nil {
		failure = errors.New("no answer yet")
	}

	switch {
	case i.expires.After(i.config.Now()):
		return nil
	case i.expires.IsZero():
		return fault.New(codes.Unavailable, "NO_CERTIFICATE", "waiting for istiod at %s: %w", i.config.Address, failure)
	default:
		return fault.New(codes.Unavailable, "NO_CERTIFICATE", "the certificate expired at %s; waiting for istiod at %s: %w",
			i.expires.UTC().Format(time.RFC3339), i.config.Address, failure)
	}
}

// succeeded notes a certificate and tells those who wait for the first one.
func (i *Istiod) succeeded(expires time.Time) {
	i.mu.Lock()
	defer i.mu.Unlock()

	if i.expires.IsZero() {
		close(i.first)
	}

	i.expires, i.failure = expires, nil
}

// failed notes why there is no new certificate, and logs it once rather than at each try.
func (i *Istiod) failed(ctx context.Context, err error) {
	i.mu.Lock()
	defer i.mu.Unlock()

	if i.failure == nil || i.failure.Error() != err.Error() {
		i.config.Logger.WarnContext(ctx, "no certificate from istiod; trying again", "identity", i.config.Identity.String(),
			"istiod", i.config.Address, "error", err)
	}

	i.failure = err
}
