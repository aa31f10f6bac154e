// Package outbound makes the HTTP clients that tools reach other hosts with: each is for one declared URL, carries what
// the declaration has it say, and goes nowhere else.
package outbound

import (
	"encoding/base64"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"time"

	"go.opentelemetry.io/otel/propagation"

	"github.com/serinhq/serin/internal/agentspec"
	"github.com/serinhq/serin/internal/dialguard"
)

// maxRedirects is how many redirects of one request are followed.
const maxRedirects = 5

// Config is what a client is made of.
type Config struct {
	// Spec has the URL and what is said of requests to it.
	Spec *agentspec.MCPServerSpec
	// Getenv reads the environment variables that the spec names.
	Getenv func(string) string
	// ResponseHeaderTimeout is how long a server may take to begin its answer; 0 leaves that to the request's context.
	ResponseHeaderTimeout time.Duration
}

// New makes a client for a spec's URL. It keeps cookies of nobody and follows redirects of GET and HEAD, and such as
// repeat the request as it is. The error names an environment variable that is not set, and never its value.
func New(config Config) (*http.Client, error) {
	home, err := url.Parse(config.Spec.URL)
	if err != nil {
		return nil, fmt.Errorf("the URL: %w", err)
	}

	headers, err := headersOf(config.Spec, config.Getenv)
	if err != nil {
		return nil, err
	}

	guard := dialguard.Guard{AllowPrivate: config.Spec.AllowPrivate}
	transport := guard.Transport()
	transport.MaxIdleConnsPerHost = 16
	transport.IdleConnTimeout = 90 * time.Second
	transport.ResponseHeaderTimeout = config.ResponseHeaderTimeout
	transport.ExpectContinueTimeout = time.Second

	trip := &tripper{home: origin(home), headers: headers, traced: config.Spec.TraceContext, next: transport}

	return &http.Client{Transport: trip, CheckRedirect: redirects{home: home, others: config.Spec.Redirects}.check}, nil
}

// headersOf are the headers of every request to the URL.
func headersOf(spec *agentspec.MCPServerSpec, getenv func(string) string) (http.Header, error) {
	headers := http.Header{}

	read := func(name string) (string, error) {
		value := getenv(name)

		switch {
		case value == "":
			return "", fmt.Errorf("the environment variable %s is not set", name)
		case strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r == 0x7f }):
			return "", fmt.Errorf("the environment variable %s has more than one line, or other control characters", name)
		default:
			return value, nil
		}
	}

	for _, header := range spec.Headers {
		value := header.Value

		if header.Env != "" {
			var err error
			if value, err = read(header.Env); err != nil {
				return nil, err
			}
		}

		headers.Set(header.Name, value)
	}

	if spec.Auth == nil {
		return headers, nil
	}

	authorization, err := authorize(spec.Auth, read)
	if err != nil {
		return nil, err
	}

	headers.Set("Authorization", authorization)

	return headers, nil
}

func authorize(auth *agentspec.Auth, read func(string) (string, error)) (string, error) {
	if auth.BearerEnv != "" {
		token, err := read(auth.BearerEnv)

		return "Bearer " + token, err
	}

	user, err := read(auth.UserEnv)
	if err != nil {
		return "", err
	}

	password, err := read(auth.PasswordEnv)

	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password)), err
}

// tripper adds the headers to requests to the URL's own origin, and to no other.
type tripper struct {
	home    string
	headers http.Header
	traced  bool
	next    *http.Transport
}

// RoundTrip sends a request and notes how far it came.
func (t *tripper) RoundTrip(request *http.Request) (*http.Response, error) {
	ctx := request.Context()
	request = request.Clone(ctx)

	if origin(request.URL) == t.home {
		maps.Copy(request.Header, t.headers)

		if t.traced {
			propagation.TraceContext{}.Inject(ctx, propagation.HeaderCarrier(request.Header))
		}
	}

	return traced(request, t.next)
}

// CloseIdleConnections ends what is kept for later requests.
func (t *tripper) CloseIdleConnections() { t.next.CloseIdleConnections() }

// origin is scheme, host and port of a URL, in one form.
func origin(u *url.URL) string {
	port := u.Port()

	switch {
	case port != "":
	case u.Scheme == "https":
		port = "443"
	default:
		port = "80"
	}

	return u.Scheme + "://" + strings.ToLower(u.Hostname()) + ":" + port
}
