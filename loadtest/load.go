package loadtest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"
)

// Load is a load that runs. It is safe for concurrent use.
type Load struct {
	cfg     Config
	client  *Client
	record  *record
	buffers buffers

	ctx     context.Context
	stop    context.CancelFunc // no more conversations
	stopped context.Context
	hangup  context.CancelFunc // no more turns
	hungup  context.Context

	users sync.WaitGroup
	slots chan struct{}
	idle  chan struct{} // the last conversation ended
	done  chan struct{}
	err   error
}

// Run makes a load and returns what came of it. With a context that ends early the report is of what was until then, and
// the error is the context's. Errors: INVALID_ARGUMENT if the configuration is not right; the script's.
func Run(ctx context.Context, cfg Config) (*Report, error) {
	load, err := Start(ctx, cfg)
	if err != nil {
		return nil, err
	}

	return load.Wait()
}

// Start begins to make a load. Wait for it, or its goroutines and connections stay until the context ends.
func Start(ctx context.Context, cfg Config) (*Load, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}

	client, err := NewClient(cfg.URL, cfg.Token, cfg.Transport)
	if err != nil {
		return nil, err
	}

	load := &Load{
		cfg: cfg, client: client, record: newRecord(cfg.Now()), ctx: ctx,
		slots: make(chan struct{}, cfg.MaxOpen), idle: make(chan struct{}), done: make(chan struct{}),
	}
	load.hungup, load.hangup = context.WithCancel(ctx)
	load.stopped, load.stop = context.WithCancel(load.hungup)

	go load.run() //nolint:contextcheck // the load keeps the context

	return load, nil
}

// Stop lets no more conversations begin; those that are open go on to their last turn.
func (l *Load) Stop() { l.stop() }

// Hangup is [Load.Stop], and no more turns begin either.
func (l *Load) Hangup() { l.hangup() }

// Wait waits until the last conversation ended, and returns the report. Errors are as of [Run].
func (l *Load) Wait() (*Report, error) {
	<-l.done

	return l.Report(), l.err
}

// Report returns what came of it until now.
func (l *Load) Report() *Report { return l.record.report(l.cfg, l.cfg.Now()) }

// Counts returns how far it is.
func (l *Load) Counts() Counts {
	counts, _ := l.record.counts()

	return counts
}

// Until waits until the counts are enough. They change when a conversation begins or a turn ends. Errors: the context's,
// or that the load ended before.
func (l *Load) Until(ctx context.Context, enough func(Counts) bool) error {
	for {
		counts, changed := l.record.counts()
		if enough(counts) {
			return nil
		}

		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("wait for the load: %w", context.Cause(ctx))
		case <-l.idle:
			if counts, _ := l.record.counts(); enough(counts) {
				return nil
			}

			return errors.New("the load ended before it came so far")
		}
	}
}

// Mark notes a moment, for the report's plots, and returns when it was.
func (l *Load) Mark(name string) time.Time {
	now := l.cfg.Now()
	l.record.mark(Mark{Name: name, Time: now})

	return now
}

func (l *Load) run() {
	defer close(l.done)

	aside := &sync.WaitGroup{}
	script := make(chan error, 1)
	helping, helped := context.WithCancel(l.ctx)

	if l.cfg.Progress != nil {
		aside.Go(func() { l.showProgress(helping) })
	}

	aside.Go(func() {
		if l.cfg.Script == nil {
			script <- nil

			return
		}

		script <- l.cfg.Script(helping, l)

		l.stop()
	})

	l.arrive()
	l.users.Wait()
	l.stop()
	close(l.idle)

	if l.cfg.Script == nil || l.ctx.Err() != nil {
		helped()
	}

	l.err = errors.Join(<-script, l.ctx.Err())

	helped()
	aside.Wait()
	l.hangup()
	l.record.end(l.cfg.Now())
	l.client.Close()
}

// arrive begins conversations when they are due.
func (l *Load) arrive() {
	due := newSchedule(l.cfg.Scenario, rand.New(rand.NewPCG(l.cfg.Seed, 1))) //nolint:gosec // load, not secrets
	timer := time.NewTimer(0)

	defer timer.Stop()

	for number := 0; ; number++ {
		offset, more := due.next()
		if !more {
			return
		}

		intended := l.record.started.Add(offset)
		timer.Reset(intended.Sub(l.cfg.Now()))

		select {
		case <-timer.C:
		case <-l.stopped.Done():
			return
		}

		select {
		case l.slots <- struct{}{}:
		case <-l.stopped.Done():
			return
		}

		l.users.Go(func() {
			defer func() { <-l.slots }()

			newTalk(l, number, intended).run()
		})
	}
}
