package ambassador

import (
	"sync"
	"time"
)

const (
	// coolFirst is how long a key rests after its first 429 without a Retry-After; it doubles with each further one.
	coolFirst = time.Second
	// coolLongest ends the doubling.
	coolLongest = time.Minute
	// coolKey is how long a key rests that was refused or has used up its quota.
	coolKey = 5 * time.Minute
	// probeWait is what others are told to wait while one request finds out whether a provider is back.
	probeWait = time.Second
	// cooldownLimit is the number of entries from which expired ones are swept.
	cooldownLimit = 1024
)

// cooldowns remembers across requests which keys rest, for one model or for all.
type cooldowns struct {
	now func() time.Time

	mu      sync.Mutex
	entries map[cooled]*rest
	// failures are those in a row, by circuit; see circuit.go.
	failures map[cooled]int
}

// cooled is what rests: with an empty model the key for all models, with an empty key all keys for the model.
type cooled struct{ provider, key, model string }

type rest struct {
	until   time.Time
	strikes int
	// probing: the rest is over, and one request finds out whether it may end for all.
	probing bool
	// broken: it rests because it kept failing.
	broken bool
}

func newCooldowns() *cooldowns {
	return &cooldowns{now: time.Now, entries: map[cooled]*rest{}, failures: map[cooled]int{}}
}

// permit is the right to try one key for one model. It must be settled once: by ok, cool or release.
type permit struct {
	cooldowns *cooldowns
	target    cooled
	probes    []cooled
	settled   bool
}

// enter returns a permit, or how long the key still rests. After a rest only one request at a time gets through, until
// one succeeds.
func (c *cooldowns) enter(provider, key, model string) (*permit, time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()

	target := cooled{provider, key, model}
	if wait := c.wait(target); wait > 0 {
		return nil, wait
	}

	granted := &permit{cooldowns: c, target: target}

	for _, target := range target.scopes() {
		if entry := c.entries[target]; entry != nil {
			entry.probing = true

			granted.probes = append(granted.probes, target)
		}
	}

	return granted, 0
}

// scopes are the entries that concern a key and a model.
func (t cooled) scopes() [3]cooled {
	return [...]cooled{t, {t.provider, t.key, ""}, {t.provider, "", t.model}}
}

func (c *cooldowns) wait(target cooled) time.Duration {
	now, wait := c.now(), time.Duration(0)
	for _, target := range target.scopes() {
		wait = max(wait, c.entries[target].wait(now))
	}

	return wait
}

// left is how long the permit's key rests from now on.
func (p *permit) left() time.Duration {
	p.cooldowns.mu.Lock()
	defer p.cooldowns.mu.Unlock()

	return p.cooldowns.wait(p.target)
}

func (r *rest) wait(now time.Time) time.Duration {
	switch {
	case r == nil:
		return 0
	case now.Before(r.until):
		return r.until.Sub(now)
	case r.probing:
		return probeWait
	default:
		return 0
	}
}

// ok says that the key answered: it does not rest any more.
func (p *permit) ok() {
	p.settle(func() {
		delete(p.cooldowns.failures, p.target.circuit())

		for _, target := range p.probes {
			delete(p.cooldowns.entries, target)
		}
	})
}

// release says that nothing was learned about the key.
func (p *permit) release() { p.settle(func() {}) }

// cool lets the key rest: as long as the provider asked, else by its strikes; never shorter than it already does.
func (p *permit) cool(scope scope, asked time.Duration) {
	target := p.target

	switch scope {
	case scopeKey:
		target.model = ""
	case scopeProvider:
		target.key = ""
	case scopeNone, scopeModel:
	}

	p.settle(func() { p.cooldowns.extend(target, scope, asked) })
}

func (p *permit) settle(learn func()) {
	p.cooldowns.mu.Lock()
	defer p.cooldowns.mu.Unlock()

	if p.settled {
		return
	}

	p.settled = true

	for _, target := range p.probes {
		if entry := p.cooldowns.entries[target]; entry != nil {
			entry.probing = false
		}
	}

	learn()
}

func (c *cooldowns) extend(target cooled, scope scope, asked time.Duration) {
	now := c.now()
	c.sweep(now)

	entry := c.entries[target]
	if entry == nil {
		entry = &rest{}
		c.entries[target] = entry
	}

	wait := asked
	if wait <= 0 {
		wait = unasked(scope, entry.strikes)
	}

	entry.strikes++

	if until := now.Add(wait); until.After(entry.until) {
		entry.until = until
	}
}

func unasked(scope scope, strikes int) time.Duration {
	if scope == scopeKey {
		return coolKey
	}

	return min(coolFirst<<min(strikes, 16), coolLongest)
}

// sweep forgets what has been over for long: models are named by clients, and there may be many.
func (c *cooldowns) sweep(now time.Time) {
	if len(c.failures) >= cooldownLimit {
		clear(c.failures)
	}

	if len(c.entries) < cooldownLimit {
		return
	}

	for target, entry := range c.entries {
		if now.After(entry.until) && !entry.probing {
			delete(c.entries, target)
		}
	}
}
