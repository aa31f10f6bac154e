package outbound

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// ErrRedirect means that an answer led to where the declaration does not lead.
var ErrRedirect = errors.New("redirect refused")

// redirects decides which redirects are followed.
type redirects struct {
	home   *url.URL
	others []string
}

// check is the CheckRedirect of a client.
func (r redirects) check(next *http.Request, via []*http.Request) error {
	first := via[0]

	switch {
	case len(via) > maxRedirects:
		return fmt.Errorf("%w: more than %d in a row", ErrRedirect, maxRedirects)
	case next.Method != first.Method:
		return fmt.Errorf("%w: it would make a %s of a %s", ErrRedirect, next.Method, first.Method)
	case r.home.Scheme == "https" && next.URL.Scheme != "https", next.URL.Scheme != "https" && next.URL.Scheme != "http":
		return fmt.Errorf("%w: it leads to %s, which is not encrypted", ErrRedirect, hostOf(next.URL))
	case origin(next.URL) == origin(r.home):
		return nil
	case !r.allows(next.URL):
		return fmt.Errorf("%w: it leads to %s, which the declaration's redirects do not list", ErrRedirect, hostOf(next.URL))
	}

	// What was meant for the first host alone. Others get neither a body nor its secrets.
	if first.Body != nil || next.Body != nil {
		return fmt.Errorf("%w: it would take the request's body to %s", ErrRedirect, hostOf(next.URL))
	}

	for name := range next.Header {
		if !slices.Contains([]string{"Accept", "User-Agent"}, name) {
			next.Header.Del(name)
		}
	}

	return nil
}

// allows reports whether another host is listed, by itself, which means the scheme's own port, or with its port.
func (r redirects) allows(to *url.URL) bool {
	host, port, _ := strings.Cut(strings.TrimPrefix(origin(to), to.Scheme+"://"), ":")
	standard := map[string]string{"https": "443", "http": "80"}[to.Scheme]

	return slices.ContainsFunc(r.others, func(other string) bool {
		other = strings.ToLower(other)

		return other == host+":"+port || other == host && port == standard
	})
}

func hostOf(u *url.URL) string { return fmt.Sprintf("%q", u.Scheme+"://"+u.Host) }
