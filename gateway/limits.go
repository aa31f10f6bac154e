package gateway

import (
	"context"
	"crypto/sha256"
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

// maxLimited is how many clients, and how many tokens, a process remembers. Who has been forgotten begins anew.
const maxLimited = 1 << 16

// bucketKey names a bucket. It is a digest, so that nothing keeps a token or an address in the clear: not a core, not Redis.
// (Whoever reads the digest of an IPv4 address and tries all of them finds it. It is kept until its bucket is full.)
type bucketKey [sha256.Size]byte

func keyOfClient(client netip.Addr) bucketKey { return sha256.Sum256(client.AsSlice()) }

func keyOfToken(token string) bucketKey { return sha256.Sum256([]byte(token)) }

// buckets are the token buckets of one limit, each with a key: full at first, and filled by RateLimit.PerSecond up to
// RateLimit.Burst.
type buckets interface {
	// take takes a token out of the key's bucket and returns 0; or it takes none, and returns how long until there is one.
	take(ctx context.Context, key bucketKey) (time.Duration, error)
}

// limiter lets requests pass, or not. Nil limits nothing.
type limiter struct {
	limit   RateLimit
	what    string
	buckets buckets
}

// newLimiter makes a limit whose buckets all gateways share that have the same Redis; those of this process without one.
func newLimiter(limit RateLimit, what string, shared sharing) (*limiter, error) {
	if limit.PerSecond == 0 {
		return nil, nil //nolint:nilnil // there is no limit
	}

	if limit.Burst == 0 {
		limit.Burst = max(int(math.Ceil(limit.PerSecond)), 1)
	}

	own, err := newOwnBuckets(limit)
	if err != nil {
		return nil, err
	}

	made := &limiter{limit: limit, what: "one " + what, buckets: own}
	if shared.redis != nil {
		made.buckets = &sharedBuckets{sharing: shared, theirs: newRedisBuckets(shared.redis, limit, what), own: own}
	}

	return made, nil
}

// take lets one request of the key pass. Else the fault (RATE_LIMITED) says when the next one may.
func (l *limiter) take(ctx context.Context, key bucketKey) error {
	wait, err := l.buckets.take(ctx, key)
	if err != nil || wait <= 0 {
		return err
	}

	return fault.New(codes.ResourceExhausted, "RATE_LIMITED", "%s may make %g requests a second, and %d at once; wait",
		l.what, l.limit.PerSecond, l.limit.Burst).After(wait)
}

func (l *limiter) takeClient(ctx context.Context, client netip.Addr) error {
	if l == nil {
		return nil
	}

	return l.take(ctx, keyOfClient(client))
}

func (l *limiter) takeToken(ctx context.Context, token string) error {
	if l == nil {
		return nil
	}

	return l.take(ctx, keyOfToken(token))
}

// ownBuckets are this process's.
type ownBuckets struct {
	limit RateLimit
	now   func() time.Time

	mu    sync.Mutex
	known *simplelru.LRU[bucketKey, *rate.Limiter]
}

func newOwnBuckets(limit RateLimit) (*ownBuckets, error) {
	known, err := simplelru.NewLRU[bucketKey, *rate.Limiter](maxLimited, nil)
	if err != nil {
		return nil, fmt.Errorf("gateway: make buckets: %w", err)
	}

	return &ownBuckets{limit: limit, now: time.Now, known: known}, nil
}

func (b *ownBuckets) take(_ context.Context, key bucketKey) (time.Duration, error) {
	b.mu.Lock()
	defer b.mu.Unlock()

	bucket, known := b.known.Get(key)
	if !known {
		bucket = rate.NewLimiter(rate.Limit(b.limit.PerSecond), b.limit.Burst)
		b.known.Add(key, bucket)
	}

	now := b.now()
	if bucket.AllowN(now, 1) {
		return 0, nil
	}

	missing := 1 - bucket.TokensAt(now)

	return max(time.Duration(missing/b.limit.PerSecond*float64(time.Second)), 1), nil
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
