package loadtest

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc/codes"

	rolloutv1 "github.com/serinhq/serin/gen/serin/rollout/v1"
	"github.com/serinhq/serin/internal/fault"
)

// End is how a canary ends.
type End string

// The ends there are.
const (
	// EndAbort gives everything back to the stable revision.
	EndAbort End = "abort"
	// EndFence is EndAbort that does not let running segments finish.
	EndFence End = "fence"
	// EndPromote makes the candidate stable.
	EndPromote End = "promote"
	// EndUndo promotes, and takes it back.
	EndUndo End = "undo"
	// EndLeave leaves the candidate at its weight.
	EndLeave End = "leave"
)

// Canary is a rollout beside a load: see [Canary.Script].
type Canary struct {
	// Agent is whose candidate it is.
	Agent string
	// Declaration is the candidate as JSON; by default the stable revision with another line in its prompt.
	Declaration string
	// Line is that line, such as "@sim fail=0.3"; by default one that changes nothing but the revision.
	Line string
	// Weight is the candidate's percentage of new conversations; default 10.
	Weight int32
	// Conversations is how many must have joined the agent at that weight before the end; default 400.
	Conversations int
	// End is how it ends; default [EndAbort].
	End End
	// Repeats is how often an abort is retried and aborted again; default 0. It makes the abort's quantiles mean something.
	Repeats int
	// Settle is how long the load goes on after the end; default 3 s.
	Settle time.Duration
}

const (
	// quiet is how long a weight is given to reach all traffic before the share is measured.
	quiet = 500 * time.Millisecond
	// pollEvery is how often a rollout is looked at.
	pollEvery = 25 * time.Millisecond
	// giveUpWithin is how long the abort of a candidate may take whose test did not get to its end.
	giveUpWithin = 10 * time.Second
	// patience is how long anything of a rollout but its conversations may take.
	patience = time.Minute
)

func (c Canary) withDefaults() Canary {
	c.Weight = cmp.Or(c.Weight, 10)
	c.Conversations = cmp.Or(c.Conversations, 400)
	c.End = cmp.Or(c.End, EndAbort)
	c.Settle = cmp.Or(c.Settle, 3*time.Second)
	c.Line = cmp.Or(c.Line, "(Load test "+rand.Text()[:8]+".)")

	return c
}

// Bars are what the scenario should meet besides [DefaultBars].
func (c Canary) Bars() []Bar {
	bars := []Bar{{"share", 0}}

	switch c.withDefaults().End {
	case EndAbort, EndFence, EndUndo:
		bars = append(bars, Bar{"abort-p99", 150})
	case EndPromote, EndLeave:
	}

	return bars
}

// Script returns a script for [Config]: it starts the candidate at its weight, measures its share, and ends it. Where it
// does not get to the end, it aborts the candidate, so that no user goes on meeting it.
func (c Canary) Script() func(ctx context.Context, load *Load) error {
	c = c.withDefaults()

	return func(ctx context.Context, load *Load) error {
		rollout, err := c.start(ctx, load)
		if err != nil {
			return err
		}

		if err := c.rounds(ctx, load, rollout.GetCandidate()); err != nil {
			return errors.Join(err, c.giveUp(ctx, load, rollout.GetCandidate()))
		}

		return nil
	}
}

func (c Canary) rounds(ctx context.Context, load *Load, candidate string) error {
	for round := 0; ; round++ {
		if err := c.round(ctx, load, candidate); err != nil || round >= c.Repeats || !c.Withdraws() {
			return err
		}

		load.Mark("retry")

		if _, err := load.client.Retry(ctx, c.Agent); err != nil {
			return err
		}
	}
}

// giveUp aborts the candidate, if it is one still. The context may have ended.
func (c Canary) giveUp(ctx context.Context, load *Load, candidate string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), giveUpWithin)
	defer cancel()

	rollout, err := load.client.Rollout(ctx, c.Agent)
	if err == nil && rollout.GetCandidate() == candidate {
		_, err = load.client.Abort(ctx, c.Agent, false, "the load test did not get to its end")
	}

	if err != nil {
		return fmt.Errorf("the candidate %s of %s may go on, see serin canary status %s: %w", candidate, c.Agent, c.Agent, err)
	}

	return nil
}

// Withdraws reports whether it ends with an abort, which can be repeated.
func (c Canary) Withdraws() bool { return c.End == EndAbort || c.End == EndFence }

func (c Canary) start(ctx context.Context, load *Load) (*rolloutv1.Rollout, error) {
	declaration := c.Declaration

	if declaration == "" {
		stable, err := load.client.Declaration(ctx, c.Agent, "stable")
		if err != nil {
			return nil, err
		}

		if declaration, err = withLine(stable, c.Line); err != nil {
			return nil, err
		}
	}

	load.Mark("start")

	return load.client.Start(ctx, c.Agent, declaration, &rolloutv1.Plan{Steps: []int32{c.Weight}})
}

// round measures the share at the weight, and then the end.
func (c Canary) round(ctx context.Context, load *Load, candidate string) error {
	_, err := load.client.AwaitRollout(ctx, c.Agent, fmt.Sprintf("a weight of %d%%", c.Weight), func(r *rolloutv1.Rollout) (bool, error) {
		if r.GetCandidate() != candidate || r.GetPhase() == rolloutv1.Phase_PHASE_ABORTING || r.GetPhase() == rolloutv1.Phase_PHASE_FAILED {
			return false, fault.New(codes.Aborted, "ROLLOUT_ENDED", "the rollout of %s ended by itself: %s", c.Agent, r.GetReason())
		}

		return r.GetAppliedWeight() == c.Weight, nil
	})
	if err != nil {
		return err
	}

	load.Mark(fmt.Sprintf("%d%%", c.Weight))

	if err := sleep(ctx, quiet); err != nil {
		return err
	}

	from, before := load.cfg.Now(), load.Counts().Joined[c.Agent]

	if err := load.Until(ctx, func(counts Counts) bool { return counts.Joined[c.Agent]-before >= c.Conversations }); err != nil {
		return err
	}

	load.MeasureShare(c.Agent, candidate, float64(c.Weight), from, load.cfg.Now())

	return c.end(ctx, load, candidate)
}

func (c Canary) end(ctx context.Context, load *Load, candidate string) error {
	switch c.End {
	case EndAbort, EndFence:
		return c.withdraw(ctx, load, candidate, func() error {
			_, err := load.client.Abort(ctx, c.Agent, c.End == EndFence, "load test")

			return err
		})
	case EndPromote, EndUndo:
		return c.promote(ctx, load, candidate)
	case EndLeave:
	}

	return sleep(ctx, c.Settle)
}

func (c Canary) promote(ctx context.Context, load *Load, candidate string) error {
	load.Mark("promote")

	if _, err := load.client.Promote(ctx, c.Agent, true); err != nil {
		return err
	}

	_, err := load.client.AwaitRollout(ctx, c.Agent, candidate+" as stable", func(r *rolloutv1.Rollout) (bool, error) {
		return r.GetStable() == candidate && r.GetPhase() == rolloutv1.Phase_PHASE_SUCCEEDED, nil
	})
	if err != nil {
		return err
	}

	load.Mark("promoted")

	if err := sleep(ctx, c.Settle); err != nil || c.End == EndPromote {
		return err
	}

	return c.withdraw(ctx, load, candidate, func() error {
		_, err := load.client.Undo(ctx, c.Agent)

		return err
	})
}

// withdraw gives the command that takes the candidate away, and measures how fast it works.
func (c Canary) withdraw(ctx context.Context, load *Load, candidate string, command func() error) error {
	commanded := load.Mark(string(c.End))

	if err := command(); err != nil {
		return err
	}

	answered := load.cfg.Now().Sub(commanded)

	_, err := load.client.AwaitRollout(ctx, c.Agent, "the end of "+candidate, func(r *rolloutv1.Rollout) (bool, error) {
		return r.GetPhase() == rolloutv1.Phase_PHASE_FAILED, nil
	})
	if err != nil {
		return err
	}

	if err := sleep(ctx, c.Settle); err != nil {
		return err
	}

	load.MeasureAbort(c.Agent, candidate, commanded, load.cfg.Now(), answered)

	return nil
}

// AwaitRollout looks at a rollout until it is as wanted, for a minute at most; what says in words what is waited for.
func (c *Client) AwaitRollout(ctx context.Context, agent, what string, wanted func(*rolloutv1.Rollout) (bool, error)) (*rolloutv1.Rollout, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()

	last := &rolloutv1.Rollout{}

	for {
		rollout, err := c.Rollout(ctx, agent)

		switch {
		case err == nil:
			last = rollout

			if done, err := wanted(rollout); done || err != nil {
				return rollout, err
			}
		case !transient(err) && ctx.Err() == nil:
			return nil, err
		}

		if err := sleep(ctx, pollEvery); err != nil {
			return last, fault.New(codes.DeadlineExceeded, "ROLLOUT_WAITS", "%s of agent %s did not come: it is in phase %s at %d%%, waiting for %q (%w)",
				what, agent, last.GetPhase(), last.GetAppliedWeight(), last.GetWaitingFor(), err)
		}
	}
}

// MeasureShare has the report say which share of the agent's new conversations the revision got between two times. The
// weight is a percentage.
func (l *Load) MeasureShare(agent, revision string, weight float64, from, to time.Time) {
	l.record.measure(func(r *Report) {
		r.Shares = append(r.Shares, r.Share(agent, revision, weight, from, to))
	})
}

// MeasureAbort has the report say when the revision got its last new turn after a command that took it away, which was
// answered after some time. Turns that begin from a time on, when it may get some again, do not count.
func (l *Load) MeasureAbort(agent, revision string, commanded, until time.Time, answered time.Duration) {
	l.record.measure(func(r *Report) {
		abort := r.Abort(agent, revision, commanded, until)
		abort.Answered = answered
		r.Aborts = append(r.Aborts, abort)
	})
}

// withLine adds a line to the prompt of a resolved declaration.
func withLine(declaration, line string) (string, error) {
	agent := map[string]any{}
	if err := json.Unmarshal([]byte(declaration), &agent); err != nil {
		return "", fault.New(codes.Internal, "BAD_ANSWER", "the stable declaration can't be read: %w", err)
	}

	spec, _ := agent["spec"].(map[string]any)
	prompt, _ := spec["prompt"].(map[string]any)
	inline, found := prompt["inline"].(string)

	if !found {
		return "", fault.New(codes.Internal, "BAD_ANSWER", "the stable declaration has no prompt inline")
	}

	prompt["inline"] = inline + "\n" + line + "\n"

	changed, err := json.Marshal(agent)
	if err != nil {
		return "", fmt.Errorf("write declaration: %w", err)
	}

	return string(changed), nil
}

func sleep(ctx context.Context, wait time.Duration) error {
	timer := time.NewTimer(wait)
	defer timer.Stop()

	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx) //nolint:wrapcheck // it is why the caller gave up
	}
}
