package gateway

import (
	"fmt"
	"math"
	"net/netip"
	"net/url"
	"strings"

	"github.com/serinhq/serin/internal/fault"
)

// Door is what outsiders may. The zero value limits the size of requests alone.
type Door struct {
	// Origins are the web pages that may use the API from a browser, such as https://chat.example.com, or * alone for all
	// where there are tokens.
	Origins []string `json:"origins,omitempty"`
	// PerClient limits each client's requests, by address, before anything else of them is looked at.
	PerClient RateLimit `json:"perClient,omitzero"`
	// PerToken limits the requests with the same token.
	PerToken RateLimit `json:"perToken,omitzero"`
	// TrustedProxies are networks whose X-Forwarded-For says who the client is.
	TrustedProxies []netip.Prefix `json:"trustedProxies,omitempty"`
	// MaxBodyBytes limits a request's body, and a gRPC request message; default 1 MiB.
	MaxBodyBytes int64 `json:"maxBodyBytes,omitempty"`
}

// RateLimit is how many requests may be made. A stream is one request. The zero value limits nothing.
type RateLimit struct {
	// PerSecond is how many requests a second may have for ever.
	PerSecond float64 `json:"perSecond"`
	// Burst is how many may come at once; default what a second may have, and at least 1.
	Burst int `json:"burst,omitempty"`
}

// Check says what is wrong with the settings, by their names in JSON. Tokens says whether there are tokens.
func (d Door) Check(tokens bool) []fault.Violation {
	var found []fault.Violation

	add := func(field, format string, args ...any) {
		found = append(found, fault.Violation{Field: field, Message: fmt.Sprintf(format, args...)})
	}

	for i, origin := range d.Origins {
		if problem := originProblem(origin, tokens); problem != "" {
			add(fmt.Sprintf("origins[%d]", i), "%q: %s", origin, problem)
		}
	}

	d.PerClient.check("perClient", add)
	d.PerToken.check("perToken", add)

	if d.PerToken.PerSecond > 0 && !tokens {
		add("perToken", "there are no tokens, so that it would limit nobody; perClient does")
	}

	if d.MaxBodyBytes < 0 || d.MaxBodyBytes > math.MaxInt32 {
		add("maxBodyBytes", "%d: must be from 1 to %d; 0 is the default", d.MaxBodyBytes, math.MaxInt32)
	}

	return found
}

func (l RateLimit) check(field string, add func(field, format string, args ...any)) {
	switch {
	case l.PerSecond < 0 || math.IsNaN(l.PerSecond) || math.IsInf(l.PerSecond, 0):
		add(field+".perSecond", "%v: must be a number from 0 on; 0 is no limit", l.PerSecond)
	case l.Burst < 0:
		add(field+".burst", "%d: must be 0 or more", l.Burst)
	case l.Burst > 0 && l.PerSecond == 0:
		add(field+".burst", "%d: is of no use without perSecond", l.Burst)
	}
}

// originProblem wants an origin as browsers send it. Without tokens each page must be named, since whoever opens it may do
// everything.
func originProblem(origin string, tokens bool) string {
	parsed, err := url.Parse(origin)

	switch {
	case origin == anyOrigin && tokens:
		return ""
	case origin == anyOrigin:
		return "every web page could do everything on a gateway without tokens; name the pages' origins"
	case strings.Contains(origin, anyOrigin):
		return "must be one origin, or * alone for all"
	case err != nil || parsed.Host == "" || parsed.Scheme != "http" && parsed.Scheme != "https" || parsed.User != nil ||
		origin != parsed.Scheme+"://"+parsed.Host || origin != strings.ToLower(origin):
		return "must be an origin as browsers send it, such as https://chat.example.com or http://localhost:5173"
	default:
		return ""
	}
}
