package gateway

import (
	"cmp"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/serinhq/serin/internal/telemetry"
	"github.com/serinhq/serin/internal/testenv"
)

// replica is one of several gateways with the same Redis.
type replica struct {
	*world

	redis    *Redis
	log      *lockedBuffer
	observed *telemetry.Telemetry
}

func newReplica(t *testing.T, url string, timeout time.Duration, adjust ...func(*Config)) *replica {
	t.Helper()

	r := &replica{redis: openTestRedis(t, RedisConfig{URL: url, Timeout: timeout}), log: &lockedBuffer{}}

	var err error
	if r.observed, err = telemetry.New(telemetry.Options{Service: "serin-gateway", Writer: r.log}); err != nil {
		t.Fatal(err)
	}

	r.world = newWorld(t, append([]func(*Config){withTokens(t), func(c *Config) {
		c.Redis, c.Telemetry = r.redis, r.observed
	}}, adjust...)...)

	return r
}

// get asks for the list of conversations and returns the status.
func (r *replica) get() answer {
	r.t.Helper()

	return r.do("GET", "/v1/conversations", "", "Authorization", "Bearer "+annToken)
}

// count is a counter of uses of Redis.
func (r *replica) count(use, outcome string, onLoss OnLoss) int {
	recorded := httptest.NewRecorder()
	r.observed.Handler().ServeHTTP(recorded, httptest.NewRequest(http.MethodGet, "/metrics", nil))

	text, _ := io.ReadAll(recorded.Body)
	line := regexp.QuoteMeta(fmt.Sprintf(`serin_gateway_redis_calls_total{on_loss="%s",outcome="%s",use="%s"} `, onLoss, outcome, use))

	found := regexp.MustCompile(line + `(\d+)`).FindSubmatch(text)
	if found == nil {
		return 0
	}

	number, _ := strconv.Atoi(string(found[1]))

	return number
}

func perToken(burst int) func(*Config) {
	return func(c *Config) { c.Door.PerToken = RateLimit{PerSecond: 0.001, Burst: burst} }
}

func closed(c *Config) { c.Door.Redis.Limits = Closed }

func TestReplicasShareALimit(t *testing.T) {
	server := testenv.StartRedis(t)
	gateways := []*replica{
		newReplica(t, server.URL(), unhurried, perToken(5)), newReplica(t, server.URL(), unhurried, perToken(5)),
	}

	for i := range 5 {
		if got := gateways[i%2].get(); got.status != http.StatusOK {
			t.Fatalf("request %d: %d %v", i, got.status, got.body)
		}
	}

	for i, gateway := range gateways {
		got := gateway.get()
		if got.status != http.StatusTooManyRequests || got.reason() != "RATE_LIMITED" {
			t.Errorf("gateway %d: %d %v", i, got.status, got.body)
		}

		if wait, err := strconv.Atoi(got.header.Get("Retry-After")); err != nil || wait < 900 || wait > 1000 {
			t.Errorf("Retry-After %d, %v: want nearly 1000", wait, err)
		}
	}

	if a, b := gateways[0].count("limits", "ok", Open), gateways[1].count("limits", "ok", Open); a != 4 || b != 3 {
		t.Errorf("counted %d and %d, want 4 and 3", a, b)
	}
}

// TestWhatRedisKeeps: nothing that names a user, and nothing for ever.
func TestWhatRedisKeeps(t *testing.T) {
	server := testenv.StartRedis(t)
	gateway := newReplica(t, server.URL()+"/3", unhurried, perToken(5), func(c *Config) { c.Door.PerClient = RateLimit{PerSecond: 0.001, Burst: 9} })
	gateway.get()

	client := redis.NewClient(&redis.Options{Addr: server.Address, DB: 3})
	defer client.Close()

	keys, err := client.Keys(t.Context(), "*").Result()
	if err != nil || len(keys) != 2 {
		t.Fatalf("%v, %v: want a client's and a token's", keys, err)
	}

	for _, key := range keys {
		content, err := client.HGetAll(t.Context(), key).Result()
		if text := fmt.Sprint(key, content); err != nil || strings.Contains(text, annToken) || strings.Contains(text, "127.0.0.1") || !strings.HasPrefix(key, "serin:") {
			t.Errorf("%s %v", text, err)
		}

		if left, err := client.TTL(t.Context(), key).Result(); err != nil || left <= 0 || left > 1000*time.Second {
			t.Errorf("%s is kept for %s, %v: want until it is full", key, left, err)
		}
	}
}

// TestRedisDies in the middle, and comes back.
func TestRedisDies(t *testing.T) {
	t.Run("open", func(t *testing.T) {
		server := testenv.StartRedis(t)
		gateways := []*replica{
			newReplica(t, server.URL(), unhurried, perToken(2)), newReplica(t, server.URL(), unhurried, perToken(2)),
		}

		for _, gateway := range gateways {
			if got := gateway.get(); got.status != http.StatusOK {
				t.Fatal(got.status, got.body)
			}
		}

		server.Kill()

		for i, gateway := range gateways {
			for range 2 { // each limits by itself
				if got := gateway.get(); got.status != http.StatusOK {
					t.Errorf("gateway %d: %d %v", i, got.status, got.body)
				}
			}

			for range 5 {
				if got := gateway.get(); got.status != http.StatusTooManyRequests {
					t.Errorf("gateway %d: %d %v", i, got.status, got.body)
				}
			}

			if failed, skipped := gateway.count("limits", "error", Open), gateway.count("limits", "skipped", Open); failed != redisFailures || skipped != 7-redisFailures {
				t.Errorf("gateway %d: %d errors and %d skipped, want %d and %d", i, failed, skipped, redisFailures, 7-redisFailures)
			}
		}

		if err := gateways[0].redis.Check(t.Context()); err == nil || !strings.Contains(err.Error(), server.Address) {
			t.Errorf("the check says %v", err)
		}

		server.Start()
		eventually(t, "both are back", func() bool { return !gateways[0].redis.away.Load() && !gateways[1].redis.away.Load() })

		for i, want := range []int{http.StatusOK, http.StatusOK, http.StatusTooManyRequests, http.StatusTooManyRequests} {
			if got := gateways[i%2].get(); got.status != want {
				t.Errorf("request %d after it came back: %d %v, want %d", i, got.status, got.body, want)
			}
		}

		if err := gateways[0].redis.Check(t.Context()); err != nil {
			t.Error(err)
		}

		if log := gateways[0].log.String(); strings.Count(log, "redis is away") != 1 || strings.Count(log, "redis is back") != 1 {
			t.Errorf("log: %s", log)
		}
	})

	t.Run("closed", func(t *testing.T) {
		server := testenv.StartRedis(t)
		gateway := newReplica(t, server.URL(), unhurried, perToken(100), closed)
		server.Kill()

		for range 5 {
			if got := gateway.get(); got.status != http.StatusServiceUnavailable || got.reason() != "LIMITS_UNAVAILABLE" || got.header.Get("Retry-After") != "1" {
				t.Errorf("%d %v", got.status, got.body)
			}
		}

		if failed, skipped := gateway.count("limits", "error", Closed), gateway.count("limits", "skipped", Closed); failed != redisFailures || skipped != 5-redisFailures {
			t.Errorf("%d errors and %d skipped", failed, skipped)
		}

		server.Start()
		eventually(t, "requests pass again", func() bool { return gateway.get().status == http.StatusOK })
	})
}

// TestRedisHangs: it takes connections and answers nothing.
func TestRedisHangs(t *testing.T) {
	const timeout = 100 * time.Millisecond

	server := testenv.StartRedis(t)
	gateway := newReplica(t, server.URL(), timeout, perToken(1000))
	eventually(t, "it is there", func() bool { gateway.get(); return gateway.count("limits", "ok", Open) > 0 })
	server.Pause()

	before := gateway.count("limits", "timeout", Open)
	began := time.Now()

	for range 200 {
		if got := gateway.get(); got.status != http.StatusOK {
			t.Fatal(got.status, got.body)
		}
	}

	// Only the first few waited for it, each at most for its time.
	if took, each := time.Since(began), 200*timeout; took > each/2 {
		t.Errorf("200 requests took %s; if each had waited it would be %s", took, each)
	}

	if waited := gateway.count("limits", "timeout", Open) - before; waited != redisFailures {
		t.Errorf("%d requests waited, want %d", waited, redisFailures)
	}

	if skipped := gateway.count("limits", "skipped", Open); skipped < 200-redisFailures {
		t.Errorf("%d did not wait", skipped)
	}

	server.Resume()

	ok := gateway.count("limits", "ok", Open)
	eventually(t, "it is asked again", func() bool { gateway.get(); return gateway.count("limits", "ok", Open) > ok })
}

// TestRedisThatRefuses is of as little use as one that is not there.
func TestRedisThatRefuses(t *testing.T) {
	server := testenv.StartRedis(t, "--requirepass", "s3cret", "--maxmemory", "1", "--maxmemory-policy", "noeviction")

	for name, c := range map[string]struct{ user, want string }{
		"no password":    {"", "NOAUTH"},
		"another one":    {":wrong-pass@", "WRONGPASS"},
		"no memory left": {":s3cret@", "OOM"},
	} {
		gateway := newReplica(t, "redis://"+c.user+server.Address, unhurried, perToken(1))

		if got := gateway.get(); got.status != http.StatusOK {
			t.Errorf("%s: %d %v", name, got.status, got.body)
		}

		if got := gateway.count("limits", "error", Open); got != 1 {
			t.Errorf("%s: %d errors were counted", name, got)
		}

		err := gateway.redis.Check(t.Context())
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "s3cret") || strings.Contains(err.Error(), "wrong-pass") {
			t.Errorf("%s: the check says %v, want %s", name, err, c.want)
		}
	}
}

// TestRedisUser may do what the manual says a user must be allowed, and no more.
func TestRedisUser(t *testing.T) {
	rules := strings.Fields("on >p%ss ~serin:* resetchannels -@all +eval +evalsha +time +hmget +hset +pexpire +get +set +del")
	server := testenv.StartRedis(t, append([]string{"--user", "gateway"}, rules...)...)
	shared := openTestRedis(t, RedisConfig{URL: "redis://gateway:p%25ss@" + server.Address, Timeout: unhurried})

	if err := shared.Check(t.Context()); err != nil {
		t.Error(err)
	}

	noted := &redisRecords{shared}
	if _, err := noted.claim(t.Context(), "a", []byte("x")); err != nil {
		t.Error(err)
	}

	for _, outcome := range []string{"y", ""} {
		if _, err := noted.settle(t.Context(), "a", []byte(outcome), nil); err != nil {
			t.Error(err)
		}
	}
}

func TestRedisOverTLS(t *testing.T) {
	roots, certificate, key := selfSigned(t)
	server := testenv.StartRedis(t, "--port", "0", "--tls-port", "PORT", "--tls-cert-file", certificate, "--tls-key-file", key, "--tls-auth-clients", "no")

	for _, trusted := range []bool{true, false} {
		options, err := redisOptions("rediss://" + server.Address)
		if err != nil {
			t.Fatal(err)
		}

		if trusted {
			options.TLSConfig.RootCAs = roots
		}

		opened := openRedis(RedisConfig{}, options)

		if err := opened.Check(t.Context()); (err == nil) != trusted {
			t.Errorf("trusted is %t: %v", trusted, err)
		}

		if err := opened.Close(); err != nil {
			t.Error(err)
		}
	}
}

// selfSigned is a certificate for 127.0.0.1, and the files that a server takes it from.
func selfSigned(t *testing.T) (roots *x509.CertPool, certificateFile, keyFile string) {
	t.Helper()

	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}

	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true,
	}

	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}

	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}

	dir := t.TempDir()
	write := func(name, kind string, content []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: content}), 0o600); err != nil {
			t.Fatal(err)
		}

		return path
	}

	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}

	roots = x509.NewCertPool()
	roots.AddCert(parsed)

	return roots, write("tls.crt", "CERTIFICATE", der), write("tls.key", "PRIVATE KEY", private)
}

func TestRedisURL(t *testing.T) {
	for text, want := range map[string]string{
		"redis://localhost":               "localhost:6379 0 - -",
		"redis://redis.example:6380/7":    "redis.example:6380 7 - -",
		"redis://:pass@redis.example":     "redis.example:6379 0 - pass",
		"redis://user:p%40ss@redis/":      "redis:6379 0 user p@ss",
		"rediss://user:pass@[::1]:6390/0": "[::1]:6390 0 user pass tls",
	} {
		options, err := redisOptions(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)

			continue
		}

		got := fmt.Sprintf("%s %d %s %s", options.Addr, options.DB, cmp.Or(options.Username, "-"), cmp.Or(options.Password, "-"))
		if options.TLSConfig != nil {
			got += " tls"
		}

		if got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}

	for text, want := range map[string]string{
		"":                                  "does not begin with redis://",
		"s3cret":                            "does not begin with redis://",
		"localhost:6379":                    "does not begin with redis://",
		"http://s3cret@localhost":           "does not begin with redis://",
		"redis://":                          "names no host",
		"redis://:s3cret@":                  "names no host",
		"redis://:6379":                     "names no host",
		"redis://localhost:0":               "port is not a number from 1",
		"redis://localhost:99999":           "port is not a number from 1",
		"redis://:s3/cret@localhost":        "can't be read",
		"redis://:s3cret%zz@localhost":      "can't be read",
		"redis://user:12/s3cret@localhost":  "not the number of a database",
		"redis://localhost/s3cret":          "not the number of a database",
		"redis://localhost/-1":              "not the number of a database",
		"redis://localhost?password=s3cret": "a query or a fragment",
		"redis://:a#s3cret@localhost":       "",
		"redis://s3cret@localhost":          "a user without a password",
	} {
		_, err := OpenRedis(RedisConfig{URL: text})
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "must be redis://") {
			t.Errorf("%s: %v, want %s", text, err, want)
		}

		if err != nil && (strings.Contains(err.Error(), "s3") || strings.Contains(err.Error(), "cret")) {
			t.Errorf("%s: the error tells the secret: %v", text, err)
		}
	}
}
