package gateway

import (
	"fmt"
	"math"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"golang.org/x/time/rate"
	"google.golang.org/grpc/codes"

	"github.com/serinhq/serin/internal/fault"
)

// maxLimited is how many clients, and how many tokens, are remembered. Who has been forgotten begins anew.
const maxLimited = 1 << 16

// limiter has a token bucket for each key. Nil limits nothing.
type limiter[K comparable] struct {
	limit RateLimit
	what  string
	now   func() time.Time

	mu      sync.Mutex
	buckets *simplelru.LRU[K, *rate.Limiter]
}

func newLimiter[K comparable](limit RateLimit, what string) (*limiter[K], error) {
	if limit.PerSecond == 0 {
		return nil, nil //nolint:nilnil // there is no limit
	}

	if limit.Burst == 0 {
		limit.Burst = max(int(math.Ceil(limit.PerSecond)), 1)
	}

	buckets, err := simplelru.NewLRU[K, *rate.Limiter](maxLimited, nil)
	if err != nil {
		return nil, fmt.Errorf("gateway: limit %s: %w", what, err)
	}

	return &limiter[K]{limit: limit, what: what, now: time.Now, buckets: buckets}, nil
}

// take lets one request of the key pass. Else the fault (RATE_LIMITED) says when the next one may.
func (l *limiter[K]) take(key K) error {
	if l == nil {
		return nil
	}

	l.mu.Lock()
	defer l.mu.Unlock()

	bucket, known := l.buckets.Get(key)
	if !known {
		bucket = rate.NewLimiter(rate.Limit(l.limit.PerSecond), l.limit.Burst)
		l.buckets.Add(key, bucket)
	}

	now := l.now()
	if bucket.AllowN(now, 1) {
		return nil
	}

	missing := 1 - bucket.TokensAt(now)
	wait := time.Duration(missing / l.limit.PerSecond * float64(time.Second))

	return fault.New(codes.ResourceExhausted, "RATE_LIMITED", "%s may make %g requests a second, and %d at once; wait",
		l.what, l.limit.PerSecond, l.limit.Burst).After(wait)
}

// clientOf is who is at the other end: the peer itself, or whoever the proxies that are trusted say they had before them.
// IPv6 clients are taken by their /64, of which each has as many addresses as it likes.
func clientOf(peer string, forwarded []string, trusted []netip.Prefix) netip.Addr {
	client := addressOf(peer)

	var hops []string
	for _, header := range forwarded {
		hops = append(hops, strings.Split(header, ",")...)
	}

	for len(hops) > 0 && isTrusted(client, trusted) {
		before := addressOf(strings.TrimSpace(hops[len(hops)-1]))
		if !before.IsValid() {
			break
		}

		client, hops = before, hops[:len(hops)-1]
	}

	if client.Is6() {
		if network, err := client.Prefix(64); err == nil {
			return network.Addr()
		}
	}

	return client
}

func isTrusted(address netip.Addr, trusted []netip.Prefix) bool {
	for _, network := range trusted {
		if network.Contains(address) {
			return true
		}
	}

	return false
}

// addressOf reads an address with or without a port; invalid if it is none, such as that of a Unix socket.
func addressOf(text string) netip.Addr {
	if host, _, err := net.SplitHostPort(text); err == nil {
		text = host
	}

	address, err := netip.ParseAddr(strings.Trim(text, "[]"))
	if err != nil {
		return netip.Addr{}
	}

	return address.Unmap().WithZone("")
}
