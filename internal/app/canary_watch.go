package app

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	rolloutv1 "github.com/serinhq/serin/gen/serin/rollout/v1"
)

// canaryNow is what a watch knows after a change.
type canaryNow struct {
	// agent is the only one that is watched; empty for all.
	agent string
	// change is what came last.
	change *rolloutv1.WatchRolloutsResponse
	// rollouts are all, by name.
	rollouts []*rolloutv1.Rollout
}

// canaryView shows a watch.
type canaryView interface {
	show(ctx context.Context, now canaryNow) error
}

// canaryWatch follows rollouts over as many streams as it takes.
type canaryWatch struct {
	client rolloutAPI
	agent  string
	view   canaryView
	// until says when it has seen enough; nil means never. Its error is the watch's.
	until func(*rolloutv1.Rollout) (done bool, err error)

	known map[string]*rolloutv1.Rollout
}

// errSeen ends a watch that has seen enough.
var errSeen = errors.New("seen enough")

// run watches until it has seen enough, or the context ends, which is how a person ends it.
func (w *canaryWatch) run(ctx context.Context) error {
	retry := newRetry(nil)

	for {
		err := w.once(ctx, retry)

		switch {
		case errors.Is(err, errSeen):
			return nil
		case ctx.Err() != nil && w.until == nil:
			return nil
		case ctx.Err() != nil:
			return fmt.Errorf("%s: left before its rollout ended, which goes on: serin canary status %s -w", w.agent, w.agent)
		case !isTransient(err):
			return err
		}

		if err := retry.wait(ctx, err); err != nil && ctx.Err() == nil {
			return err
		}
	}
}

func (w *canaryWatch) once(ctx context.Context, retry *retry) error {
	stream, err := w.client.watch(ctx, w.agent)
	if err != nil {
		return err
	}
	defer stream.close()

	w.known = map[string]*rolloutv1.Rollout{} // a stream begins with all of them

	for {
		change, err := stream.nextRollouts()
		if err != nil {
			return err
		}

		retry.reset()

		if err := w.take(ctx, change); err != nil {
			return &showError{err}
		}
	}
}

// take shows a change, and looks whether it was the last.
func (w *canaryWatch) take(ctx context.Context, change *rolloutv1.WatchRolloutsResponse) error {
	for _, rollout := range change.GetRollouts() {
		w.known[rollout.GetAgent()] = rollout
	}

	for _, agent := range change.GetGone() {
		delete(w.known, agent)
	}

	now := canaryNow{agent: w.agent, change: change}
	for _, agent := range slices.Sorted(maps.Keys(w.known)) {
		now.rollouts = append(now.rollouts, w.known[agent])
	}

	if err := w.view.show(ctx, now); err != nil {
		return err
	}

	if w.until == nil || w.known[w.agent] == nil {
		return nil
	}

	done, err := w.until(w.known[w.agent])
	if err == nil && done {
		return errSeen
	}

	return err
}

// endOf says when a rollout that began has ended; the error says why its candidate is not the stable revision.
func endOf(begun *rolloutv1.Rollout) func(*rolloutv1.Rollout) (bool, error) {
	candidate := begun.GetCandidate()

	return func(now *rolloutv1.Rollout) (bool, error) {
		switch {
		case now.GetAttempt() < begun.GetAttempt() || now.GetCandidate() == candidate:
			return false, nil
		case now.GetStable() == candidate:
			return true, nil
		case now.GetCandidate() != "" && now.GetAttempt() > begun.GetAttempt():
			return true, fmt.Errorf("%s: the candidate was not promoted: %s took its place", now.GetAgent(), now.GetCandidate())
		case now.GetCandidate() == "" && now.GetPhase() != rolloutv1.Phase_PHASE_ABORTING:
			return true, fmt.Errorf("%s: the candidate was not promoted: %s", now.GetAgent(), now.GetReason())
		default:
			return false, nil
		}
	}
}
