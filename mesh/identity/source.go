package identity

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/spiffe/go-spiffe/v2/bundle/x509bundle"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"
)

// DefaultPoll is how often files are looked at while certificates are asked for.
const DefaultPoll = time.Second

// Option changes how [Watch] works.
type Option func(*Source)

// WithPoll sets how often files are looked at; 0 means at each use.
func WithPoll(interval time.Duration) Option { return func(s *Source) { s.poll = interval } }

// WithLogger says who is told about files that cannot be used. The default is [slog.Default].
func WithLogger(logger *slog.Logger) Option { return func(s *Source) { s.logger = logger } }

// Source is a workload's certificate and bundle, read from a directory. It has no goroutine: using it looks at the
// files, at most once per interval, and what cannot be used leaves the last good one in place.
type Source struct {
	ctx    context.Context
	dir    string
	poll   time.Duration
	logger *slog.Logger

	mu       sync.Mutex
	svid     *x509svid.SVID
	bundle   *x509bundle.Bundle
	version  string
	looked   time.Time
	lastFail string
}

var (
	_ x509svid.Source   = (*Source)(nil)
	_ x509bundle.Source = (*Source)(nil)
)

// Watch reads svid.pem, key.pem and bundle.pem from dir, and reads them again when they have changed, until ctx ends;
// from then on what was read last stays. It fails if the files cannot be used now.
func Watch(ctx context.Context, dir string, options ...Option) (*Source, error) {
	source := &Source{ctx: ctx, dir: dir, poll: DefaultPoll, logger: slog.Default()}
	for _, option := range options {
		option(source)
	}

	version, err := fingerprint(dir)
	if err != nil {
		return nil, err
	}

	if err := source.load(version); err != nil {
		return nil, err
	}

	source.looked = time.Now()

	return source, nil
}

// GetX509SVID returns the certificate and its key.
func (s *Source) GetX509SVID() (*x509svid.SVID, error) {
	s.mu.Lock()
	defer s.mu.Unlock()

	s.refresh()

	return s.svid, nil
}

// GetX509BundleForTrustDomain returns whom to trust. Other trust domains than the workload's own are unknown.
func (s *Source) GetX509BundleForTrustDomain(domain spiffeid.TrustDomain) (*x509bundle.Bundle, error) {
	s.mu.Lock()
	defer s.mu.Unlock()

	s.refresh()

	bundle, err := s.bundle.GetX509BundleForTrustDomain(domain)
	if err != nil {
		return nil, fmt.Errorf("finding whom to trust: %w", err)
	}

	return bundle, nil
}

// refresh reads the files if they have changed since the last look.
func (s *Source) refresh() {
	now := time.Now()
	if now.Sub(s.looked) < s.poll || s.ctx.Err() != nil {
		return
	}

	s.looked = now

	version, err := fingerprint(s.dir)
	if err == nil && version != s.version {
		err = s.load(version)
	}

	s.report(err)
}

// report logs a failure once, not at each look.
func (s *Source) report(err error) {
	if err == nil {
		s.lastFail = ""

		return
	}

	if text := err.Error(); text != s.lastFail {
		s.lastFail = text
		s.logger.WarnContext(s.ctx, "keeping the last good certificate", "dir", s.dir, "error", err)
	}
}

func (s *Source) load(version string) error {
	svid, bundle, err := read(s.dir)
	if err != nil {
		return err
	}

	if s.svid != nil && s.svid.ID != svid.ID {
		return fmt.Errorf("%s now holds the identity %s, but this process is %s", s.dir, svid.ID, s.svid.ID)
	}

	s.svid, s.bundle, s.version = svid, bundle, version

	return nil
}

// read reads a certificate, its key and the bundle of one version, and checks that they belong together and are good
// now.
func read(dir string) (*x509svid.SVID, *x509bundle.Bundle, error) {
	if version, err := os.Readlink(filepath.Join(dir, current)); err == nil {
		dir = filepath.Join(dir, version) // followed once: all files are of the same version
	}

	svid, err := x509svid.Load(filepath.Join(dir, SVIDFile), filepath.Join(dir, KeyFile))
	if err != nil {
		return nil, nil, fmt.Errorf("reading the certificate in %s: %w", dir, err)
	}

	bundle, err := x509bundle.Load(svid.ID.TrustDomain(), filepath.Join(dir, BundleFile))
	if err != nil {
		return nil, nil, fmt.Errorf("reading the bundle in %s: %w", dir, err)
	}

	if _, _, err := x509svid.Verify(svid.Certificates, bundle); err != nil {
		return nil, nil, fmt.Errorf("the certificate in %s cannot be used: %w", dir, err)
	}

	return svid, bundle, nil
}

// fingerprint changes when the files do: the version's name, or sizes and times where there are no versions.
func fingerprint(dir string) (string, error) {
	if version, err := os.Readlink(filepath.Join(dir, current)); err == nil {
		return version, nil
	}

	var (
		parts []string
		errs  []error
	)

	for _, name := range []string{SVIDFile, KeyFile, BundleFile} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			errs = append(errs, err)

			continue
		}

		parts = append(parts, fmt.Sprintf("%d@%d", info.Size(), info.ModTime().UnixNano()))
	}

	if err := errors.Join(errs...); err != nil {
		return "", fmt.Errorf("no certificate in %s: %w", dir, err)
	}

	return strings.Join(parts, " "), nil
}
