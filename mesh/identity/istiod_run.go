package identity

import (
	"bytes"
	"context"
	"crypto/x509"
	"math/rand/v2"
	"os"
	"slices"
	"time"
)

const (
	// firstRetry doubles up to longestPause.
	firstRetry = 100 * time.Millisecond
	// askTimeout bounds one try.
	askTimeout = 10 * time.Second
)

// Run asks for the first certificate and then renews it at half of its lifetime, or as soon as the file with istiod's
// root changes, until ctx ends. What fails is tried again, ever more slowly. A certificate that an earlier run left in
// the directory is used for as long as it is good.
func (i *Istiod) Run(ctx context.Context) error {
	plan := i.resume()

	for failures := 0; ; {
		if !i.wait(ctx, plan) {
			return nil
		}

		certificate, root, err := i.renew(ctx)

		switch {
		case ctx.Err() != nil:
			return nil //nolint:nilerr // it was told to end, and that is why the try failed
		case err != nil:
			failures++
			plan = i.later(plan, failures)

			i.failed(ctx, err)
		default:
			failures = 0
			plan = i.schedule(certificate, root)

			i.succeeded(certificate.NotAfter)
			i.config.Logger.DebugContext(ctx, "certificate from istiod", "identity", i.config.Identity.String(), "renew_at", plan.at)
		}
	}
}

// plan is when the next certificate is asked for.
type plan struct {
	at time.Time
	// look is how often the clock and the root are looked at meanwhile.
	look time.Duration
	// root is the file with istiod's root as it was; nil if a change of it means nothing yet.
	root []byte
}

// schedule plans the renewal at about half of the time that is left, so that a fleet does not ask all at once.
func (i *Istiod) schedule(certificate *x509.Certificate, root []byte) plan {
	now := i.now()
	left := certificate.NotAfter.Sub(now)
	half := time.Duration(float64(left) * (0.45 + 0.1*rand.Float64())) //nolint:gosec // jitter needs no secret

	return plan{at: now.Add(half), look: max(min(left/20, longestPause), time.Millisecond), root: root}
}

// later plans the next try after a failure.
func (i *Istiod) later(last plan, failures int) plan {
	pause := min(firstRetry<<min(failures-1, 16), longestPause)
	pause = pause/2 + rand.N(pause/2) //nolint:gosec // jitter needs no secret

	return plan{at: i.now().Add(pause), look: pause, root: last.root}
}

// wait returns when the plan's time has come or the root has changed; false if ctx ended. The clock is looked at again
// and again: timers stand still while a machine sleeps, certificates do not.
func (i *Istiod) wait(ctx context.Context, plan plan) bool {
	for {
		left := plan.at.Sub(i.now())
		if left <= 0 || i.rootChanged(plan.root) {
			return ctx.Err() == nil
		}

		timer := time.NewTimer(min(left, plan.look))

		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()

			return false
		}
	}
}

// rootChanged reports whether the file holds another root now. A failed try has its own time to be repeated.
func (i *Istiod) rootChanged(known []byte) bool {
	if known == nil {
		return false
	}

	now, err := os.ReadFile(i.config.RootFile)

	return err == nil && !bytes.Equal(now, known)
}

// resume uses what is in the directory from before, for instance when a container was restarted while istiod is away.
func (i *Istiod) resume() plan {
	now := plan{at: i.now(), look: longestPause}

	svid, bundle, err := read(i.config.Directory)
	if err != nil || svid.ID.String() != i.config.Identity.String() {
		return now
	}

	leaf := svid.Certificates[0]
	i.succeeded(leaf.NotAfter)

	root, err := i.readRoot()
	if err != nil || !containsAll(bundle.X509Authorities(), root.certificates) {
		return now
	}

	half := leaf.NotAfter.Sub(leaf.NotBefore) / 2

	return plan{at: leaf.NotBefore.Add(half), look: longestPause, root: root.pem}
}

func containsAll(all, some []*x509.Certificate) bool {
	return !slices.ContainsFunc(some, func(each *x509.Certificate) bool { return !slices.ContainsFunc(all, each.Equal) })
}

// renew puts a new certificate into the directory. It returns it, and istiod's root that it was asked for with.
func (i *Istiod) renew(ctx context.Context) (*x509.Certificate, []byte, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()

	root, err := i.readRoot()
	if err != nil {
		return nil, nil, err
	}

	request, err := newSigningRequest(i.config.Identity)
	if err != nil {
		return nil, nil, err
	}

	chain, err := i.ask(ctx, root, request.pem)
	if err != nil {
		return nil, nil, err
	}

	answer, err := i.verify(chain, root, request.key)
	if err != nil {
		return nil, nil, err
	}

	files, err := answer.files(request.key)
	if err != nil {
		return nil, nil, err
	}

	return answer.path[0], root.pem, publish(i.config.Directory, files)
}

// now is the wall clock: a suspended machine ages certificates too.
func (i *Istiod) now() time.Time { return i.config.Now().Round(0) }
