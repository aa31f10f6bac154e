package gateway

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// RedisConfig makes a [Redis]. URL is required.
type RedisConfig struct {
	// URL is redis://[[user]:password@]host[:port][/database], or rediss:// for TLS by the system's roots. It is a secret.
	URL string
	// Prefix begins every key, and keeps platforms apart that use one database; default serin.
	Prefix string
	// Timeout is what one call may take; default 50 ms.
	Timeout time.Duration
}

const (
	defaultRedisTimeout = 50 * time.Millisecond
	mostRedisTimeout    = 5 * time.Second
	// redisFailures in a row say that Redis is away: until a probe says that it is back nobody waits for it.
	redisFailures = 3
	// redisProbeEvery is the time between probes, redisProbeTimeout what one may take: also to connect, for which a request
	// has no time.
	redisProbeEvery   = 250 * time.Millisecond
	redisProbeTimeout = time.Second
)

// errRedisAway is the outcome of a call that was not made.
var errRedisAway = errors.New("redis: away, and not asked")

// Redis is where the gateways of a platform share what each would count for itself otherwise: see [Sharing] for what
// happens without it. It is one server (Redis 5.0 or later, or Valkey), or what passes for one; no cluster whose client must
// know its slots, and no sentinels. Make one with [OpenRedis], and close it after the gateway.
type Redis struct {
	client  *redis.Client
	address string
	prefix  string
	timeout time.Duration

	failures atomic.Int32
	cause    atomic.Pointer[error] // of being away
	away     atomic.Bool
	changed  atomic.Pointer[func(away error)]

	leaving sync.Mutex // so that no probing begins once it closes
	closing context.Context
	close   context.CancelFunc
	probing sync.WaitGroup
}

// silenced keeps the client's own log from the process's, which is JSON: what it says there, calls return.
var silenced sync.Once

// OpenRedis reads the URL, and connects to nothing yet: a Redis that is not there now may be later. Errors name no part of
// the URL, which may hold a password.
func OpenRedis(cfg RedisConfig) (*Redis, error) {
	options, err := redisOptions(cfg.URL)
	if err != nil {
		return nil, err
	}

	return openRedis(cfg, options), nil
}

func openRedis(cfg RedisConfig, options *redis.Options) *Redis {
	silenced.Do(logging.Disable)

	timeout := positive(cfg.Timeout, defaultRedisTimeout)

	// A call's deadline is its context's. Whoever has none left to connect leaves the connection to the next one.
	options.ContextTimeoutEnabled = true
	options.MaxRetries, options.DialerRetries = -1, 1
	options.DialTimeout, options.PoolTimeout = redisProbeTimeout, timeout
	options.DisableIdentity = true // one thing less that a user must be allowed
	options.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}

	made := &Redis{
		client: redis.NewClient(options), address: options.Addr, prefix: cmp.Or(cfg.Prefix, "serin"), timeout: timeout,
	}
	made.closing, made.close = context.WithCancel(context.Background())

	return made
}

// redisOptions reads a URL by rules of its own, because the library's errors repeat what they do not understand.
func redisOptions(text string) (*redis.Options, error) {
	parsed, err := url.Parse(text)

	problem := ""

	switch {
	case err != nil:
		problem = "it can't be read as a URL"
	case parsed.Scheme != "redis" && parsed.Scheme != "rediss":
		problem = "it does not begin with redis:// or rediss://"
	case parsed.Hostname() == "":
		problem = "it names no host"
	case parsed.Port() != "" && !isNumber(parsed.Port(), 1, 65535):
		problem = "its port is not a number from 1 to 65535"
	case strings.Trim(parsed.Path, "/") != "" && !isNumber(strings.Trim(parsed.Path, "/"), 0, 1<<30):
		problem = "its path is not the number of a database"
	case parsed.RawQuery != "" || parsed.Fragment != "":
		problem = "it has a query or a fragment"
	case parsed.User.String() != "" && !hasPassword(parsed.User):
		problem = "it has a user without a password"
	}

	if problem == "" {
		options, err := redis.ParseURL(text)
		if err == nil {
			return options, nil
		}

		problem = "it is not understood"
	}

	return nil, fmt.Errorf("%s: must be redis://[[user]:password@]host[:port][/database], or rediss:// for TLS; "+
		"in user and password other characters than letters and digits are written as %%XX", problem)
}

func hasPassword(user *url.Userinfo) bool {
	password, _ := user.Password()

	return password != ""
}

func isNumber(text string, least, most int) bool {
	number, err := strconv.Atoi(text)

	return err == nil && number >= least && number <= most
}

// Address is host:port.
func (r *Redis) Address() string { return r.address }

// Close ends all connections. Nil has none.
func (r *Redis) Close() error {
	if r == nil {
		return nil
	}

	r.leaving.Lock()
	r.close()
	r.leaving.Unlock()
	r.probing.Wait()

	if err := r.client.Close(); err != nil {
		return fmt.Errorf("close redis: %w", err)
	}

	return nil
}

// Check says what is wrong with Redis, by doing what requests need of it. What is found wrong often enough here, requests
// need not find out.
func (r *Redis) Check(ctx context.Context) error {
	var err error

	if r.away.Load() { // it is being looked at
		err = *r.cause.Load()
	} else {
		err = r.probe(ctx)
		r.note(err)
	}

	if err != nil {
		return fmt.Errorf("redis at %s: %w", r.address, err)
	}

	return nil
}

// key is a key in Redis: what it is of, and a digest.
func (r *Redis) key(parts ...string) string { return r.prefix + ":" + strings.Join(parts, ":") }

// call runs a use of Redis within its time. A request that is given up does not take its call along: a connection would go
// with it, and whether Redis is well would not be known.
func (r *Redis) call(ctx context.Context, use func(context.Context) error) error {
	if r.away.Load() {
		return errRedisAway
	}

	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.timeout)
	defer cancel()

	err := use(ctx)
	r.note(err)

	return err
}

// redisOutcome is what calls are counted by.
func redisOutcome(err error) string {
	switch {
	case err == nil:
		return "ok"
	case errors.Is(err, errRedisAway):
		return "skipped"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, redis.ErrPoolTimeout):
		return "timeout"
	default:
		return "error"
	}
}

// note counts failures in a row.
func (r *Redis) note(err error) {
	if err == nil {
		r.failures.Store(0)
	} else if r.failures.Add(1) >= redisFailures {
		r.leave(err)
	}
}

// leave opens the circuit: nobody asks Redis until a probe has succeeded.
func (r *Redis) leave(cause error) {
	r.leaving.Lock()
	defer r.leaving.Unlock()

	if r.closing.Err() != nil || r.away.Load() {
		return
	}

	r.cause.Store(&cause)
	r.away.Store(true)
	r.tell(cause)
	r.probing.Go(r.comeBack)
}

// comeBack probes until Redis does in time what requests need of it, and closes the circuit.
func (r *Redis) comeBack() {
	ticker := time.NewTicker(redisProbeEvery)
	defer ticker.Stop()

	for {
		select {
		case <-r.closing.Done():
			return
		case <-ticker.C:
		}

		if r.probe(r.closing) != nil || r.probeInTime(r.closing) != nil { // the first may have had to connect
			continue
		}

		r.failures.Store(0)
		r.away.Store(false)
		r.tell(nil)

		return
	}
}

func (r *Redis) probeInTime(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()

	return r.probe(ctx)
}

// probe takes from a bucket that is nobody's and full a millisecond later: a Redis that is read-only, full or denies a
// command is of no use, too.
func (r *Redis) probe(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, redisProbeTimeout)
	defer cancel()

	_, err := takeToken(ctx, r.client, r.key("probe"), RateLimit{PerSecond: 1000, Burst: 1000})

	return err
}

// tell passes on that Redis has gone, and why, or that it is back.
func (r *Redis) tell(away error) {
	if told := r.changed.Load(); told != nil {
		(*told)(away)
	}
}
