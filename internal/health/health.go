// Package health answers a process's probes: live, ready and startup.
package health

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// DefaultTTL is how long the result of a check is good.
	DefaultTTL = 2 * time.Second
	// Timeout bounds one run of one check.
	Timeout = time.Second
)

// Check is something that must work for the process to be of use.
type Check struct {
	// Name is shown in the probe's answer.
	Name string
	// Func returns what is wrong, or nil. It runs detached from the probe's request, for at most [Timeout], never twice
	// at once.
	Func func(context.Context) error
	// TTL is how long the result is kept; 0 means [DefaultTTL].
	TTL time.Duration
	// Grace is how long a check that was good may fail before that counts, and how long one that counted must be good
	// again: what many processes depend on must not take all of them away for a hiccup. Each process takes up to half of
	// it more, by chance, so that they neither leave nor come back at once. 0 means that every result counts at once; the
	// first good one always does.
	Grace time.Duration
	// Informative checks are shown, and do not make the process unready: what fails is of use to some without it.
	Informative bool
}

// Result is what a check came to.
type Result struct {
	Name string `json:"name"`
	// Status is ok or failed.
	Status string `json:"status"`
	Error  string `json:"error,omitempty"`
	// Informative results do not count.
	Informative bool `json:"informative,omitempty"`
	// CountsAs is what the status is taken for, which within the check's grace is what it was before.
	CountsAs string `json:"counts_as"`
	// CheckedAt is when the check last ran to its end, and DurationMS how long that took, in milliseconds.
	CheckedAt  time.Time `json:"checked_at,omitzero"`
	DurationMS float64   `json:"duration_ms"`
	// Since is since when the status is what it is.
	Since time.Time `json:"since,omitzero"`
	// LastError is what was wrong when the check last failed, at LastErrorAt; both stay after it has become good.
	LastError   string    `json:"last_error,omitempty"`
	LastErrorAt time.Time `json:"last_error_at,omitzero"`
}

// reason is why a result is in the way: it may be good again, but for too short a time.
func (r Result) reason() string {
	if r.Error != "" {
		return r.Error
	}

	return "good again since " + r.Since.Format(time.TimeOnly) + ", after: " + r.LastError
}

func (r Result) inTheWay() bool { return r.CountsAs != statusOK && !r.Informative }

// Checker knows whether a process is started, ready or draining. Make it with [New].
type Checker struct {
	checks   []*cachedCheck
	started  atomic.Bool
	draining atomic.Bool
}

// New makes a checker. The process counts as starting until [Checker.MarkStarted].
func New(checks ...Check) *Checker {
	checker := &Checker{}
	for _, check := range checks {
		checker.checks = append(checker.checks, newCachedCheck(check))
	}

	return checker
}

// MarkStarted says that the process has begun to serve.
func (c *Checker) MarkStarted() { c.started.Store(true) }

// MarkDraining says that the process is about to end: it is not ready from now on, but alive.
func (c *Checker) MarkDraining() { c.draining.Store(true) }

// Started reports whether [Checker.MarkStarted] was called.
func (c *Checker) Started() bool { return c.started.Load() }

// Ready returns nil if the process can do its work, and else all that is in its way.
func (c *Checker) Ready(ctx context.Context) error {
	if reason := c.phase(); reason != "" {
		return errors.New(reason)
	}

	var errs []error

	for _, result := range c.results(ctx) {
		if result.inTheWay() {
			errs = append(errs, fmt.Errorf("%s: %s", result.Name, result.reason()))
		}
	}

	return errors.Join(errs...)
}

// phase returns why the process is not ready whatever its checks say, or nothing.
func (c *Checker) phase() string {
	switch {
	case c.draining.Load():
		return "draining"
	case !c.started.Load():
		return "starting"
	default:
		return ""
	}
}

// results runs all checks at once, in the order given.
func (c *Checker) results(ctx context.Context) []Result {
	results := make([]Result, len(c.checks))

	var running sync.WaitGroup
	for i, check := range c.checks {
		running.Go(func() { results[i] = check.result(ctx) })
	}

	running.Wait()

	return results
}
