package identity_test

import (
	"context"
	"crypto/ecdsa"
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"google.golang.org/grpc/codes"

	"github.com/serinhq/serin/internal/fault"
	"github.com/serinhq/serin/mesh/identity"
	"github.com/serinhq/serin/mesh/identity/identitytest"
)

const patience = 15 * time.Second

// eventually waits until there is nothing to object any more.
func eventually(t *testing.T, objection func() error) {
	t.Helper()

	var err error
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if err = objection(); err == nil {
			return
		}
	}

	t.Fatal(err)
}

// cluster is an istiod, and what is mounted into pods.
type cluster struct {
	*identitytest.Istiod

	dir string
}

func newCluster(t *testing.T) *cluster {
	t.Helper()

	c := &cluster{Istiod: identitytest.New(t), dir: t.TempDir()}
	c.mount("token")
	c.Allow("token", name("billing").String())

	return c
}

func (c *cluster) mount(token string) { c.WriteFiles(token, c.file("token"), c.file("root-cert.pem")) }

func (c *cluster) file(name string) string { return filepath.Join(c.dir, name) }

// config is billing's.
func (c *cluster) config() identity.IstiodConfig {
	return identity.IstiodConfig{
		Address: c.Address(), Identity: name("billing"), TokenFile: c.file("token"), RootFile: c.file("root-cert.pem"),
		Directory: c.file("billing"),
	}
}

// run keeps certificates fresh until the returned function is called, or the test ends.
func run(t *testing.T, config identity.IstiodConfig) (source *identity.Istiod, stop func()) {
	t.Helper()

	source, err := identity.NewIstiod(config)
	if err != nil {
		t.Fatal(err)
	}

	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ran := make(chan error, 1)

	go func() { ran <- source.Run(ctx) }()

	stopped := false
	stop = func() {
		if stopped {
			return
		}

		stopped = true

		cancel()

		if err := <-ran; err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(stop)

	return source, stop
}

func issued(t *testing.T, source *identity.Istiod) {
	t.Helper()

	select {
	case <-source.Issued():
	case <-time.After(patience):
		t.Fatalf("no certificate: %v", source.Check(t.Context()))
	}
}

// says waits until readiness says all of the words.
func says(t *testing.T, source *identity.Istiod, words ...string) error {
	t.Helper()

	var got error

	eventually(t, func() error {
		got = source.Check(t.Context())
		for _, word := range words {
			if got == nil || !strings.Contains(got.Error(), word) {
				return errors.New("readiness says " + errorText(got) + ", want " + word)
			}
		}

		return nil
	})

	return got
}

func errorText(err error) string {
	if err == nil {
		return "nothing"
	}

	return err.Error()
}

func TestIstiodCertifiesAWorkload(t *testing.T) {
	c := newCluster(t)
	c.Start()

	config := c.config()
	source, _ := run(t, config)
	issued(t, source)

	watched, err := identity.Watch(t.Context(), config.Directory)
	if err != nil {
		t.Fatal(err)
	}

	svid, err := watched.GetX509SVID()
	if err != nil || svid.ID.String() != name("billing").String() || len(svid.Certificates) != 1 {
		t.Errorf("got %v, %v", svid, err)
	}

	request := c.LastRequest()
	if len(request.URIs) != 1 || request.URIs[0].String() != name("billing").String() {
		t.Errorf("asked for %v", request.URIs)
	}

	if key, ok := request.PublicKey.(*ecdsa.PublicKey); !ok || key.Params().BitSize != 256 {
		t.Errorf("asked with a key of type %T", request.PublicKey)
	}

	if err := source.Check(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestIstiodMayComeLater(t *testing.T) {
	c := newCluster(t)
	source, _ := run(t, c.config())

	err := says(t, source, "waiting for istiod at "+c.Address(), "connection refused")
	if got := fault.From(err); got.Code != codes.Unavailable || got.Reason != "NO_CERTIFICATE" {
		t.Errorf("got %v (%s)", got.Code, got.Reason)
	}

	c.Start()
	issued(t, source)

	if err := source.Check(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestCertificatesOutliveIstiod(t *testing.T) {
	c := newCluster(t)
	c.SetValidity(-time.Minute, 3*time.Second)
	c.Start()

	source, _ := run(t, c.config())
	issued(t, source)

	c.Stop()

	if err := source.Check(t.Context()); err != nil {
		t.Errorf("not ready as soon as istiod is away: %v", err)
	}

	says(t, source, "the certificate expired at", "connection refused")

	c.SetValidity(-time.Minute, time.Hour)
	c.Start()
	eventually(t, func() error { return source.Check(t.Context()) })
}

func TestARestartedProcessUsesWhatItHas(t *testing.T) {
	c := newCluster(t)
	c.Start()

	source, stop := run(t, c.config())
	issued(t, source)
	stop()
	c.Stop()

	again, _ := run(t, c.config())
	issued(t, again)

	if err := again.Check(t.Context()); err != nil || c.Issued(name("billing").String()) != 1 {
		t.Errorf("%v, %d issued", err, c.Issued(name("billing").String()))
	}

	other := c.config()
	other.Identity = name("triage")
	stranger, _ := run(t, other)
	says(t, stranger, "waiting for istiod")
}

func TestWhatIstiodRefusesIsExplained(t *testing.T) {
	wrong := "e30." + base64.RawURLEncoding.EncodeToString(
		[]byte(`{"aud":["https://kubernetes.default.svc"],"sub":"system:serviceaccount:shop:billing","exp":1000}`)) + ".x"
	single := "e30." + base64.RawURLEncoding.EncodeToString([]byte(`{"aud":"vault","sub":"x"}`)) + ".x"

	for title, test := range map[string]struct {
		spoil func(c *cluster)
		code  codes.Code
		words []string
	}{
		"an unknown token":     {func(c *cluster) { c.Revoke("token") }, codes.Unauthenticated, []string{"no JSON web token", "istio-ca"}},
		"another audience":     {func(c *cluster) { c.mount(wrong) }, codes.Unauthenticated, []string{`"https://kubernetes.default.svc"`, "billing", "expired at 1970-", "audience istio-ca"}},
		"an audience alone":    {func(c *cluster) { c.mount(single) }, codes.Unauthenticated, []string{`["vault"]`}},
		"no token file":        {func(c *cluster) { _ = os.Remove(c.file("token")) }, codes.FailedPrecondition, []string{"token: no such file", "mount"}},
		"an empty token":       {func(c *cluster) { c.mount("") }, codes.FailedPrecondition, []string{"is empty"}},
		"no root":              {func(c *cluster) { _ = os.Remove(c.file("root-cert.pem")) }, codes.FailedPrecondition, []string{"root-cert.pem: no such file", "istio-ca-root-cert"}},
		"an empty root":        {func(c *cluster) { _ = os.Truncate(c.file("root-cert.pem"), 0) }, codes.FailedPrecondition, []string{"holds no certificate"}},
		"another mesh":         {func(c *cluster) { c.Rotate(false) }, codes.Unavailable, []string{"root-cert.pem does not vouch", "x509:"}},
		"another account":      {func(c *cluster) { c.Allow("token", name("triage").String()) }, codes.FailedPrecondition, []string{"sa/triage", "sa/billing", "service account"}},
		"a clock behind":       {func(c *cluster) { c.SetValidity(time.Hour, 2*time.Hour) }, codes.FailedPrecondition, []string{"not valid before", "clocks"}},
		"a clock ahead":        {func(c *cluster) { c.SetValidity(-time.Hour, -time.Minute) }, codes.FailedPrecondition, []string{"expired at", "clocks"}},
		"an open directory":    {func(c *cluster) { _ = os.MkdirAll(c.file("billing"), 0o700); _ = os.Chmod(c.file("billing"), 0o777) }, codes.Internal, []string{"permissions 0777"}},
		"an unusable identity": {func(c *cluster) { c.Allow("token", "https://example.org") }, codes.Internal, []string{"no SPIFFE certificate"}},
	} {
		t.Run(title, func(t *testing.T) {
			c := newCluster(t)
			c.Start()
			test.spoil(c)

			source, _ := run(t, c.config())
			err := says(t, source, append(test.words, "waiting for istiod at "+c.Address())...)

			if got := fault.From(errors.Unwrap(err)).Code; got != test.code {
				t.Errorf("got %s, want %s: %v", got, test.code, err)
			}

			if _, err := os.Stat(filepath.Join(c.config().Directory, identity.SVIDFile)); err == nil {
				t.Error("a certificate was written")
			}
		})
	}
}

func TestARefusedTokenIsReadAgain(t *testing.T) {
	c := newCluster(t)
	c.mount("stale")
	c.Start()

	source, _ := run(t, c.config())
	says(t, source, "refused the token")

	c.mount("token")
	issued(t, source)
}

// authorities are how many certificates a bundle trusts.
func authorities(t *testing.T, dir string) int {
	t.Helper()

	watched, err := identity.Watch(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}

	bundle, err := watched.GetX509BundleForTrustDomain(spiffeid.RequireTrustDomainFromString("cluster.local"))
	if err != nil {
		t.Fatal(err)
	}

	return len(bundle.X509Authorities())
}

func TestARotatedRootIsTrustedBesideTheOldOne(t *testing.T) {
	c := newCluster(t)
	c.SetValidity(-time.Minute, 10*time.Second) // looks at the root every half second
	c.Start()

	source, _ := run(t, c.config())
	issued(t, source)

	before := c.Issued(name("billing").String())
	old := c.Root()
	c.Rotate(true)

	if err := os.WriteFile(c.file("root-cert.pem"), append(c.Root(), old...), 0o600); err != nil {
		t.Fatal(err)
	}

	eventually(t, func() error {
		if c.Issued(name("billing").String()) == before {
			return errors.New("no new certificate though the root changed")
		}

		return source.Check(t.Context())
	})

	eventually(t, func() error {
		if got := authorities(t, c.config().Directory); got != 2 {
			return errors.New("the bundle does not hold both roots")
		}

		return nil
	})
}

func TestIstiodsConfigurationIsChecked(t *testing.T) {
	for want, spoil := range map[string]func(*identity.IstiodConfig){
		`Address "istiod"`: func(c *identity.IstiodConfig) { c.Address = "istiod" },
		"TokenFile":        func(c *identity.IstiodConfig) { c.TokenFile = "" },
		"RootFile":         func(c *identity.IstiodConfig) { c.RootFile = "" },
		"Directory":        func(c *identity.IstiodConfig) { c.Directory = "" },
		"Lifetime":         func(c *identity.IstiodConfig) { c.Lifetime = -1 },
		"identity":         func(c *identity.IstiodConfig) { c.Identity.Name = "" },
	} {
		config := newCluster(t).config()
		spoil(&config)

		if _, err := identity.NewIstiod(config); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}
