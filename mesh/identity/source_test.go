package identity

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
)

// pair is an authority, and a directory that it issued billing's certificate into.
func pair(t *testing.T, config CAConfig) (*CA, string) {
	t.Helper()

	ca, dir := openCA(t, filepath.Join(t.TempDir(), "ca"), config), filepath.Join(t.TempDir(), "billing")
	issue(t, ca, dir, billing)

	return ca, dir
}

func watch(t *testing.T, dir string, options ...Option) *Source {
	t.Helper()

	source, err := Watch(t.Context(), dir, append([]Option{WithPoll(0)}, options...)...)
	if err != nil {
		t.Fatal(err)
	}

	return source
}

// serial names the certificate that the source gives out.
func serial(t *testing.T, source *Source) string {
	t.Helper()

	svid, err := source.GetX509SVID()
	if err != nil {
		t.Fatal(err)
	}

	return svid.Certificates[0].SerialNumber.String()
}

func TestSourceFollowsRenewals(t *testing.T) {
	ca, dir := pair(t, CAConfig{})
	source := watch(t, dir)
	first := serial(t, source)

	if serial(t, source) != first {
		t.Error("changed by itself")
	}

	issue(t, ca, dir, billing)

	if serial(t, source) == first {
		t.Error("the renewed certificate was not noticed")
	}

	bundle, err := source.GetX509BundleForTrustDomain(spiffeid.RequireTrustDomainFromString(DefaultTrustDomain))
	if err != nil || len(bundle.X509Authorities()) != 1 {
		t.Errorf("bundle: %v, %v", bundle, err)
	}

	if _, err := source.GetX509BundleForTrustDomain(spiffeid.RequireTrustDomainFromString("example.org")); err == nil {
		t.Error("trusts another trust domain")
	}
}

func TestSourceLooksOncePerInterval(t *testing.T) {
	ca, dir := pair(t, CAConfig{})
	source := watch(t, dir, WithPoll(time.Hour))
	first := serial(t, source)

	issue(t, ca, dir, billing)

	if serial(t, source) != first {
		t.Error("looked again within the interval")
	}
}

func TestSourceStopsLookingWhenItsContextEnds(t *testing.T) {
	ca, dir := pair(t, CAConfig{})
	ctx, cancel := context.WithCancel(t.Context())

	source, err := Watch(ctx, dir, WithPoll(0))
	must(t, err)

	first := serial(t, source)

	cancel()
	issue(t, ca, dir, billing)

	if serial(t, source) != first {
		t.Error("went on looking")
	}
}

func TestBadFilesLeaveTheLastGoodOne(t *testing.T) {
	foreign := openCA(t, filepath.Join(t.TempDir(), "ca"), CAConfig{})

	for name, spoil := range map[string]func(t *testing.T, ca *CA, dir string){
		"another identity": func(t *testing.T, ca *CA, dir string) {
			t.Helper()
			issue(t, ca, dir, "spiffe://cluster.local/ns/default/sa/triage")
		},
		"an expired certificate": func(t *testing.T, ca *CA, dir string) {
			t.Helper()

			old := &CA{config: CAConfig{Now: func() time.Time { return time.Now().Add(-2 * time.Hour) }}.withDefaults(), root: ca.root, issued: map[string]*issuance{}}
			issue(t, old, dir, billing)
		},
		"a certificate that the bundle does not vouch for": func(t *testing.T, ca *CA, dir string) {
			t.Helper()

			files, err := foreign.sign(billing, nil, time.Now())
			must(t, err)

			files[BundleFile] = ca.Bundle()
			must(t, publish(dir, files))
		},
		"a key of another certificate": func(t *testing.T, ca *CA, dir string) {
			t.Helper()

			one, err := ca.sign(billing, nil, time.Now())
			must(t, err)
			other, err := ca.sign(billing, nil, time.Now())
			must(t, err)

			one[KeyFile] = other[KeyFile]
			must(t, publish(dir, one))
		},
		"garbage": func(t *testing.T, _ *CA, dir string) {
			t.Helper()
			must(t, publish(dir, map[string][]byte{SVIDFile: []byte("x"), KeyFile: nil, BundleFile: nil}))
		},
		"nothing": func(t *testing.T, _ *CA, dir string) {
			t.Helper()
			must(t, os.RemoveAll(dir))
		},
	} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer

			ca, dir := pair(t, CAConfig{})
			source := watch(t, dir, WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
			good := serial(t, source)

			spoil(t, ca, dir)

			for range 3 {
				if serial(t, source) != good {
					t.Fatal("gave up the last good certificate")
				}
			}

			if got := strings.Count(log.String(), "keeping the last good certificate"); got != 1 {
				t.Errorf("logged %d times, want once: %s", got, &log)
			}

			issue(t, ca, dir, billing)

			if serial(t, source) == good {
				t.Error("did not recover")
			}
		})
	}
}

func TestWatchFailsWithoutUsableFiles(t *testing.T) {
	if _, err := Watch(t.Context(), t.TempDir()); err == nil || !strings.Contains(err.Error(), "no certificate in") {
		t.Errorf("an empty directory: %v", err)
	}

	_, dir := pair(t, CAConfig{Now: func() time.Time { return time.Now().Add(-3 * time.Hour) }})
	if _, err := Watch(t.Context(), dir); err == nil || !strings.Contains(err.Error(), "cannot be used") {
		t.Errorf("an expired certificate: %v", err)
	}
}

func TestPlainFilesWorkToo(t *testing.T) {
	ca := openCA(t, filepath.Join(t.TempDir(), "ca"), CAConfig{})
	dir := t.TempDir()
	write := func() {
		files, err := ca.sign(billing, nil, time.Now())
		must(t, err)

		for name, data := range files {
			must(t, os.WriteFile(filepath.Join(dir, name), data, 0o600))
		}
	}

	write()

	source := watch(t, dir)
	first := serial(t, source)

	write()

	if serial(t, source) == first {
		t.Error("the changed files were not noticed")
	}
}

// TestReadersNeverSeeAMismatch reads as fast as it can while certificates are issued.
func TestReadersNeverSeeAMismatch(t *testing.T) {
	ca, dir := pair(t, CAConfig{})
	done := make(chan struct{})

	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}

				if err := readSteadily(dir); err != nil {
					t.Error(err)

					return
				}
			}
		})
	}

	for range 200 {
		issue(t, ca, dir, billing)
	}

	close(done)
	readers.Wait()
}

// readSteadily forgives a reader that slept while two newer versions came: its files are gone, which is no mismatch.
func readSteadily(dir string) error {
	_, _, err := read(dir)
	if err != nil && strings.Contains(err.Error(), "no such file") {
		return nil
	}

	return err
}

func TestRunRenews(t *testing.T) {
	ca, dir := pair(t, CAConfig{Lifetime: 2 * time.Second})
	source := watch(t, dir)
	first := serial(t, source)

	ctx, stop := context.WithCancel(t.Context())
	ran := make(chan error, 1)

	go func() { ran <- ca.Run(ctx) }()

	for deadline := time.Now().Add(10 * time.Second); serial(t, source) == first; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("never renewed")
		}
	}

	stop()

	if err := <-ran; err != nil {
		t.Errorf("Run() = %v", err)
	}
}
