package gateway

import (
	"bufio"
	"fmt"
	"math"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/metadata"

	conversationv1 "github.com/serinhq/serin/gen/serin/conversation/v1"
	"github.com/serinhq/serin/internal/agentspec"
	"github.com/serinhq/serin/internal/fault"
	"github.com/serinhq/serin/internal/telemetry"
)

func TestClientsAreLimitedEachByItself(t *testing.T) {
	w := newWorld(t, func(c *Config) {
		c.Door.PerClient = RateLimit{PerSecond: 0.01, Burst: 3}
		c.Door.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	})
	from := func(client string) answer { return w.do("GET", "/v1/conversations", "", "X-Forwarded-For", client) }

	for range 3 {
		if got := from("192.0.2.1"); got.status != http.StatusOK {
			t.Fatal(got.status, got.body)
		}
	}

	got := from("192.0.2.1")
	if got.status != http.StatusTooManyRequests || got.reason() != "RATE_LIMITED" {
		t.Errorf("the fourth: %d, %v", got.status, got.body)
	}

	if wait, err := strconv.Atoi(got.header.Get("Retry-After")); err != nil || wait < 90 || wait > 100 {
		t.Errorf("Retry-After %d, want about 100 s: %v", wait, err)
	}

	if got := from("192.0.2.2"); got.status != http.StatusOK {
		t.Errorf("another client: %d", got.status)
	}
}

func TestTokensAreLimitedEachByItself(t *testing.T) {
	w := newWorld(t, withTokens(t), func(c *Config) { c.Door.PerToken = RateLimit{PerSecond: 0.01, Burst: 2} })
	client := newPublicClient(t, w.service)
	list := func(token string) error {
		_, err := client.ListConversations(metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+token),
			&conversationv1.ListConversationsRequest{})

		return err
	}

	if err := list(annToken); err != nil {
		t.Error(err)
	}

	if got := w.do("GET", "/v1/conversations", "", "Authorization", "bearer   "+annToken); got.status != http.StatusOK {
		t.Errorf("the second one, by the other door: %d", got.status)
	}

	if err := list(annToken); !fault.Is(err, "RATE_LIMITED") || fault.From(err).RetryAfter < 90*time.Second {
		t.Errorf("the third one: %v", err)
	}

	if err := list(bobToken); err != nil {
		t.Errorf("another token: %v", err)
	}
}

func TestLimiter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limit, err := newLimiter(RateLimit{PerSecond: 2}, "client", sharing{})
		if err != nil {
			t.Fatal(err)
		}

		passed := 0

		for range 40 { // 10 s
			if err := limit.take(t.Context(), keyOf("a")); err == nil {
				passed++
			} else if wait := fault.From(err).RetryAfter; wait <= 0 || wait > 500*time.Millisecond {
				t.Errorf("wait %s", wait)
			}

			time.Sleep(250 * time.Millisecond)
		}

		if passed < 20 || passed > 22 {
			t.Errorf("%d of 40 requests passed in 10 s at 2 a second", passed)
		}

		for i := range 2 * maxLimited {
			if err := limit.take(t.Context(), keyOf(fmt.Sprint(i))); err != nil {
				t.Fatal(err)
			}
		}

		if got := limit.buckets.(*ownBuckets).known.Len(); got != maxLimited {
			t.Errorf("%d clients are remembered, want %d", got, maxLimited)
		}
	})
}

func TestClientOf(t *testing.T) {
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}

	for _, test := range []struct {
		peer      string
		forwarded []string
		want      string
	}{
		{"192.0.2.7:4711", nil, "192.0.2.7"},
		{"192.0.2.7:4711", []string{"203.0.113.1"}, "192.0.2.7"}, // whoever comes by itself may say what it likes
		{"10.0.0.1:4711", []string{"203.0.113.1"}, "203.0.113.1"},
		{"10.0.0.1:4711", []string{"198.51.100.9, 203.0.113.1"}, "203.0.113.1"},
		{"10.0.0.1:4711", []string{"198.51.100.9, 203.0.113.1", "10.2.3.4"}, "203.0.113.1"},
		{"10.0.0.1:4711", []string{"203.0.113.1:99"}, "203.0.113.1"},
		{"10.0.0.1:4711", []string{"nonsense"}, "10.0.0.1"},
		{"10.0.0.1:4711", []string{"10.9.9.9"}, "10.9.9.9"},
		{"[::ffff:192.0.2.7]:4711", nil, "192.0.2.7"},
		{"[fd00::1]:4711", []string{"[2001:db8:1:2:3:4:5:6]:80"}, "2001:db8:1:2::"},
		{"[2001:db8:1:2:3:4:5:6%eth0]:80", nil, "2001:db8:1:2::"},
		{"@", nil, "invalid IP"},
	} {
		if got := clientOf(test.peer, test.forwarded, trusted).String(); got != test.want {
			t.Errorf("%s, forwarded %v: %s, want %s", test.peer, test.forwarded, got, test.want)
		}
	}
}

func TestManners(t *testing.T) {
	for _, test := range []struct {
		change func(*Config)
		want   string
	}{
		{func(c *Config) { c.Door.PerClient = RateLimit{PerSecond: -1} }, "perClient.perSecond: -1: must be a number from 0.001 to"},
		{func(c *Config) { c.Door.PerToken = RateLimit{Burst: 5} }, "perToken.burst: 5: is of no use without perSecond"},
		{func(c *Config) { c.Door.Origins = []string{"*"} }, `origins[0]: "*": must be one origin, or * alone for all where there are tokens`},
		{func(c *Config) { c.Door.Origins = []string{"http://localhost:5173", "https://a.example/"} }, `origins[1]: "https://a.example/": must be an origin`},
		{func(c *Config) { c.Door.Origins = []string{"https://*.example.com"} }, `must be one origin, or * alone for all`},
		{func(c *Config) { c.Door.PerToken = RateLimit{PerSecond: 5} }, "perToken: there are no tokens"},
		{func(c *Config) { c.Door.PerClient.PerSecond = math.NaN() }, "perClient.perSecond: NaN: must be"},
		{func(c *Config) { c.Door.PerClient.PerSecond = 1e19 }, "perClient.perSecond: 1e+19: must be"},
		{func(c *Config) { c.Door.Origins = []string{"https://a.example:443"} }, `origins[0]: "https://a.example:443": must be an origin`},
		{func(c *Config) { c.Door.Redis.Limits = "ajar" }, `redis.limits: "ajar": must be open or closed`},
		{func(c *Config) { c.Door.Redis.Keys = "shut" }, `redis.keys: "shut": must be open or closed`},
		{func(c *Config) { c.Door.Redis.Timeout = agentspec.Duration(time.Minute) }, "redis.timeout: 1m0s: must be from 1ms to 5s"},
		{func(c *Config) { c.Door.MaxBodyBytes = -1 }, "maxBodyBytes: -1: must be from 1 to"},
	} {
		w := newWorld(t)
		config := w.service.cfg
		test.change(&config)

		if _, err := New(config); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%v, want %s", err, test.want)
		}
	}
}

// TestAnAnswerThatNobodyTakes ends: whoever reads nothing must not hold on to a connection for ever.
func TestAnAnswerThatNobodyTakes(t *testing.T) {
	var log lockedBuffer

	observed, err := telemetry.New(telemetry.Options{Service: "serin-gateway", Writer: &log})
	if err != nil {
		t.Fatal(err)
	}

	w := newWorld(t, func(c *Config) {
		c.WriteTimeout, c.Telemetry = 50*time.Millisecond, observed
		c.OpenAPI = []byte(`"` + strings.Repeat("x", 64<<20) + `"`)
	})

	connection, err := net.Dial("tcp", strings.TrimPrefix(w.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()

	if _, err := fmt.Fprintf(connection, "GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
		t.Fatal(err)
	}

	eventually(t, "the gateway gave up", func() bool { return strings.Contains(log.String(), `"path":"/openapi.json"`) })

	resp, err := http.ReadResponse(bufio.NewReader(connection), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()

	if n, err := resp.Body.Read(make([]byte, 1)); n != 1 || err != nil { // what was on its way is there
		t.Error(n, err)
	}
}
