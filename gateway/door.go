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
	// PerClient limits each client's requests, by address, before its token is looked at. What browsers ask ahead of a request
	// does not count.
	PerClient RateLimit `json:"perClient,omitzero"`
	// PerToken limits the requests with the same token.
	PerToken RateLimit `json:"perToken,omitzero"`
	// TrustedProxies are networks whose X-Forwarded-For says who the client is.
	TrustedProxies []netip.Prefix `json:"trustedProxies,omitempty"`
	// Redis says how limits and idempotency keys are shared, where there is a Redis.
	Redis Sharing `json:"redis,omitzero"`
	// MaxBodyBytes limits a request's body, and a gRPC request message; default 1 MiB.
	MaxBodyBytes int64 `json:"maxBodyBytes,omitempty"`
}

// RateLimit is how many requests may be made at all gateways that share a [Redis]; without one, at each gateway, so that
// several let through as many times as much. A stream is one request. The zero value limits nothing.
type RateLimit struct {
	// PerSecond is how many requests a second may have for ever: from 0.001 to 1,000,000.
	PerSecond float64 `json:"perSecond"`
	// Burst is how many may come at once, up to 1,000,000; default what a second may have, and at least 1.
	Burst int `json:"burst,omitempty"`
}

const (
	leastRate = 0.001
	mostRate  = 1_000_000
)

// Check says what is wrong with the settings, by their names in JSON. Tokens says whether there are tokens.
func (d Door) Check(tokens bool) []fault.Violation {
	var found []fault.Violation

	add := func(field, format string, args ...any) {
		found = append(found, fault.Violation{Field: field, Message: fmt.Sprintf(format, args...)})
	}

	for i, origin := range d.Origins {
		if problem := originProblem(origin, len(d.Origins) == 1 && tokens); problem != "" {
			add(fmt.Sprintf("origins[%d]", i), "%q: %s", origin, problem)
		}
	}

	d.PerClient.check("perClient", add)
	d.PerToken.check("perToken", add)

	if d.PerToken.PerSecond > 0 && !tokens {
		add("perToken", "there are no tokens, so that it would limit nobody; perClient does")
	}

	d.Redis.check("redis", add)

	if d.MaxBodyBytes < 0 || d.MaxBodyBytes > math.MaxInt32 {
		add("maxBodyBytes", "%d: must be from 1 to %d; 0 is the default", d.MaxBodyBytes, math.MaxInt32)
	}

	return found
}

func (l RateLimit) check(field string, add func(field, format string, args ...any)) {
	switch {
	case l.PerSecond != 0 && (math.IsNaN(l.PerSecond) || l.PerSecond < leastRate || l.PerSecond > mostRate):
		add(field+".perSecond", "%v: must be a number from %v to %v, or 0 for no limit", l.PerSecond, leastRate, mostRate)
	case l.Burst < 0 || l.Burst > mostRate:
		add(field+".burst", "%d: must be from 1 to %v; 0 is the default", l.Burst, mostRate)
	case l.Burst > 0 && l.PerSecond == 0:
		add(field+".burst", "%d: is of no use without perSecond", l.Burst)
	}
}

// originProblem wants an origin as browsers send it. All of them may be let in only where there are tokens: elsewhere whoever
// opens a page may do everything.
func originProblem(origin string, allMay bool) string {
	switch {
	case origin == anyOrigin && allMay:
		return ""
	case strings.Contains(origin, anyOrigin):
		return "must be one origin, or * alone for all where there are tokens: without, every web page could do everything"
	case !isOrigin(origin):
		return "must be an origin as browsers send it, such as https://chat.example.com or http://localhost:5173"
	default:
		return ""
	}
}

// isOrigin reports whether a text is an origin of the web as browsers send it: without a path, and without the port that goes
// without saying.
func isOrigin(text string) bool {
	parsed, err := url.Parse(text)
	if err != nil || parsed.Host == "" || text != strings.ToLower(parsed.Scheme+"://"+parsed.Host) {
		return false
	}

	port, known := map[string]string{"http": "80", "https": "443"}[parsed.Scheme]

	return known && parsed.Port() != port
}
