package configload

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/serinhq/serin/internal/dialguard"
)

// attemptTimeout limits one request, so that a store that hangs is asked again.
const attemptTimeout = 10 * time.Second

// web asks stores over HTTP.
type web struct {
	client *http.Client
	// patience is how long to wait between requests.
	patience time.Duration
}

func newWeb(config *Config) *web {
	guard := dialguard.Guard{AllowPrivate: config.AllowPrivate, Unless: "and --allow-private is not given"}

	transport := guard.Transport()
	transport.TLSClientConfig = &tls.Config{RootCAs: config.RootCAs, MinVersion: tls.VersionTLS12}
	transport.DisableCompression = true // a digest is over the bytes that are there

	return &web{patience: config.backoff(), client: &http.Client{CheckRedirect: redirect, Transport: transport}}
}

// redirect follows redirects, but out of what is encrypted. Other hosts are followed: what counts is the digest.
func redirect(request *http.Request, before []*http.Request) error {
	at := before[len(before)-1].URL

	switch {
	case len(before) >= 5:
		return &wrongError{errors.New("more than 5 redirects: want the URL at which the content is")}
	case request.URL.Scheme == at.Scheme:
		return nil
	case request.URL.Scheme != schemeHTTPS:
		return &wrongError{fmt.Errorf("redirects to %s: want redirects to https alone", shown(request.URL))}
	default:
		return nil
	}
}

// passingError may not be there the next time. After is how long the store wants to be left alone; 0 if it does not say.
type passingError struct {
	error

	after time.Duration
}

func (e *passingError) Unwrap() error { return e.error }

// fetch asks until there is an answer that stays, or no more time.
func (w *web) fetch(ctx context.Context, at *url.URL) ([]byte, error) {
	var (
		wait = w.patience
		last error
	)

	for try := 1; ; try++ {
		data, err := w.ask(ctx, at)
		passing := (*passingError)(nil)

		if err == nil || !errors.As(err, &passing) {
			return data, err
		}

		if last == nil || ctx.Err() == nil { // that the time is over says less than what was wrong before
			last = err
		}

		if !sleep(ctx, max(wait, passing.after)) {
			return nil, fmt.Errorf("not reached in time, asked %s: %w; want a store that answers with 200", times(try), last)
		}

		wait = min(2*wait, 5*time.Second)
	}
}

func times(n int) string {
	if n == 1 {
		return "once"
	}

	return strconv.Itoa(n) + " times"
}

// sleep waits; false if there is less time than that, and then at once.
func sleep(ctx context.Context, wait time.Duration) bool {
	if end, ok := ctx.Deadline(); ok && time.Until(end) <= wait {
		return false
	}

	timer := time.NewTimer(wait)
	defer timer.Stop()

	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// ask makes one request.
func (w *web) ask(ctx context.Context, at *url.URL) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()

	request, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil)
	if err != nil {
		return nil, &wrongError{errors.New("not a URL that can be asked for")}
	}

	request.Header.Set("User-Agent", "serin-load-config")

	response, err := w.client.Do(request)
	if err != nil {
		return nil, judge(err)
	}
	defer response.Body.Close() //nolint:errcheck // only read

	if err := judgeAnswer(response); err != nil {
		return nil, err
	}

	data, err := io.ReadAll(io.LimitReader(response.Body, maxPart+1))
	if err != nil {
		return nil, &passingError{error: fmt.Errorf("its answer broke off: %w", err)}
	}

	return data, nil
}

// judge says whether a request that got no answer may get one later. The URL is told already, and may hold secrets.
func judge(err error) error {
	if at, ok := errors.AsType[*url.Error](err); ok {
		err = at.Err
	}

	wrong, untrusted := (*wrongError)(nil), (*tls.CertificateVerificationError)(nil)

	switch {
	case errors.As(err, &wrong):
		return err
	case errors.Is(err, dialguard.ErrAddress):
		return &wrongError{err}
	case errors.As(err, &untrusted):
		return fmt.Errorf("its certificate is not trusted: %w", certificateProblem(untrusted))
	default:
		return &passingError{error: err}
	}
}

// certificateProblem adds what helps with an authority of one's own.
func certificateProblem(err *tls.CertificateVerificationError) error {
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return fmt.Errorf("%w; SSL_CERT_FILE names a file of authorities to trust", err.Err)
	}

	return err.Err
}

// judgeAnswer says what is wrong with an answer without the content.
func judgeAnswer(response *http.Response) error {
	switch code := response.StatusCode; {
	case code == http.StatusOK && response.Header.Get("Content-Encoding") != "":
		return &wrongError{fmt.Errorf("it is encoded as %q: want it as it is", response.Header.Get("Content-Encoding"))}
	case code == http.StatusOK:
		return nil
	case code == http.StatusNotFound, code == http.StatusGone:
		return &missingError{fmt.Errorf("the store answers %s: want the URL of something that is there", response.Status)}
	case code >= 500, code == http.StatusTooManyRequests, code == http.StatusRequestTimeout, code == http.StatusTooEarly:
		return &passingError{fmt.Errorf("the store answers %s", response.Status), retryAfter(response)}
	default:
		return fmt.Errorf("the store answers %s: want a URL that it answers with 200", response.Status)
	}
}

// retryAfter is what the store asks for in seconds; what is no number of them is passed over.
func retryAfter(response *http.Response) time.Duration {
	seconds, err := strconv.ParseUint(response.Header.Get("Retry-After"), 10, 16)
	if err != nil {
		return 0
	}

	return time.Duration(seconds) * time.Second
}
