package supervise

import (
	"context"
	"time"
)

// readyPoll is the time between two looks at whether a process that starts is ready.
const readyPoll = 15 * time.Millisecond

// sign is what a look at a running process showed.
type sign struct {
	problem string // why it is not ready
	ready   bool
	dead    error // why it is to be killed
}

// note takes a sign into the status.
func (s *Status) note(seen sign) {
	state := s.State

	switch {
	case seen.ready:
		state = Ready
	case state == Ready:
		state = Unready
	}

	if state != s.State {
		s.State, s.Since = state, time.Now()
	}

	s.Problem = seen.problem
}

// look tells what changes about a running process, until the context ends.
func (s *Supervisor) look(ctx context.Context, process Process, signs chan<- sign) {
	show := func(seen sign) {
		select {
		case signs <- seen:
		case <-ctx.Done():
		}
	}

	if process.Ready != nil && !awaitReady(ctx, process.Ready, show) {
		return
	}

	show(sign{ready: true})

	if process.Ready != nil {
		go s.watchReady(ctx, process.Ready, show)
	}

	if process.Alive == nil {
		return
	}

	if dead := s.awaitDead(ctx, process.Alive); dead != nil {
		show(sign{dead: dead})
	}
}

// awaitReady polls until check succeeds, and shows each new reason why it does not. It is false if the context ends first.
func awaitReady(ctx context.Context, check func(context.Context) error, show func(sign)) bool {
	ticker := time.NewTicker(readyPoll)
	defer ticker.Stop()

	for last := ""; ; {
		err := check(ctx)
		if err == nil {
			return true
		}

		// An end of the context is no problem of the process.
		if problem := err.Error(); problem != last && ctx.Err() == nil {
			last = problem
			show(sign{problem: problem})
		}

		select {
		case <-ticker.C:
		case <-ctx.Done():
			return false
		}
	}
}

// watchReady shows when a process that was ready is not any more, each new reason why, and when it is again, until the
// context ends.
func (s *Supervisor) watchReady(ctx context.Context, check func(context.Context) error, show func(sign)) {
	last := ""

	for failures := 0; ; {
		err := after(ctx, s.config.ReadyInterval, 2*s.config.ReadyInterval, check)

		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			failures++
		default:
			failures = 0
		}

		switch {
		case failures == 0 && last != "":
			last = ""
			show(sign{ready: true})
		case failures >= s.config.ReadyFailures && err.Error() != last:
			last = err.Error()
			show(sign{problem: last})
		}
	}
}

// awaitDead polls until check has failed too often in a row, and returns its last error. It is nil if the context ends
// first.
func (s *Supervisor) awaitDead(ctx context.Context, check func(context.Context) error) error {
	for failures := 0; ctx.Err() == nil; {
		err := after(ctx, s.config.AliveInterval, s.config.AliveInterval, check)
		if err == nil || ctx.Err() != nil {
			failures = 0

			continue
		}

		if failures++; failures == s.config.AliveFailures {
			return err
		}
	}

	return nil
}

// after waits for the interval, and then gives check so much time. Its error is meaningless if the context has ended.
func after(ctx context.Context, interval, limit time.Duration, check func(context.Context) error) error {
	select {
	case <-time.After(interval):
	case <-ctx.Done():
		return nil
	}

	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()

	return check(ctx)
}
