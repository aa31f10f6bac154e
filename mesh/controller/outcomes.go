package controller

import (
	"context"
	"sync"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	rolloutv1 "github.com/serinhq/serin/gen/serin/rollout/v1"
	"github.com/serinhq/serin/mesh/canary"
)

// yetToCome asks for no outcome that exists already.
const yetToCome = -1

// outcomes follows the context store's outcomes and keeps the numbers.
type outcomes struct {
	config *Config
	// changed is called with an agent that has new outcomes.
	changed func(agent string)

	mu      sync.Mutex
	ledgers map[string]*ledger
	// position is of the last outcome taken; negative if nothing is known.
	position int64
	kept     int64
	// live says that everything that there is was taken, and that what follows will be.
	live bool
}

func newOutcomes(config *Config, changed func(string)) *outcomes {
	return &outcomes{config: config, changed: changed, ledgers: map[string]*ledger{}, position: yetToCome, kept: yetToCome}
}

// begin opens the numbers of an attempt.
func (o *outcomes) begin(record *Record) {
	o.mu.Lock()
	defer o.mu.Unlock()

	o.ledgers[record.Agent] = newLedger(record.State.Attempt, record.State.StartedAt, record.Position)
}

// here returns the first position of an attempt that begins now; 0 if it is not known.
func (o *outcomes) here() int64 {
	o.mu.Lock()
	defer o.mu.Unlock()

	return max(o.position+1, 0)
}

func (o *outcomes) drop(agent string) {
	o.mu.Lock()
	defer o.mu.Unlock()

	delete(o.ledgers, agent)
}

// evidence returns what is known of an attempt; nil unless all that happened is known.
func (o *outcomes) evidence(agent string, attempt int64) map[string]canary.Evidence {
	o.mu.Lock()
	defer o.mu.Unlock()

	found := o.ledgers[agent]
	if !o.live || found == nil || found.Attempt != attempt {
		return nil
	}

	all := make(map[string]canary.Evidence, len(found.Revisions))
	for revision, tally := range found.Revisions {
		all[revision] = tally.evidence()
	}

	return all
}

// numbers returns the numbers of a revision, and how many turns failed before any revision took them.
func (o *outcomes) numbers(agent string, revisions []string) (all map[string]*rolloutv1.Numbers, nobodys int64) {
	o.mu.Lock()
	defer o.mu.Unlock()

	all = map[string]*rolloutv1.Numbers{}

	found := o.ledgers[agent]
	if found == nil {
		return all, 0
	}

	for _, revision := range revisions {
		if tally := found.Revisions[revision]; tally != nil {
			all[revision] = tally.numbers()
		}
	}

	return all, found.Nobodys
}

// run follows the store until ctx ends.
func (o *outcomes) run(ctx context.Context) {
	for ctx.Err() == nil {
		_ = o.follow(ctx) // a stream that broke is begun again; until then nobody decides by the numbers

		o.mu.Lock()
		o.live = false
		o.mu.Unlock()

		if !sleep(ctx, watchAgain) {
			return
		}
	}
}

func (o *outcomes) follow(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	stream, err := o.config.Context.WatchOutcomes(ctx, &contextv1.WatchOutcomesRequest{FromPosition: o.next()})
	if err != nil {
		return err
	}

	for {
		answer, err := stream.Recv()
		if err != nil {
			return err
		}

		for agent := range o.take(answer) {
			o.changed(agent)
		}
	}
}

// next is the first position that is wanted.
func (o *outcomes) next() int64 {
	o.mu.Lock()
	defer o.mu.Unlock()

	if o.position < 0 {
		return yetToCome
	}

	return o.position + 1
}

// take counts what came and returns whose it was.
func (o *outcomes) take(answer *contextv1.WatchOutcomesResponse) map[string]bool {
	o.mu.Lock()
	defer o.mu.Unlock()

	agents := map[string]bool{}

	for _, outcome := range answer.GetOutcomes() {
		if outcome.GetPosition() <= o.position {
			continue
		}

		o.position = outcome.GetPosition()

		if found := o.ledgers[outcome.GetAgent()]; found != nil {
			found.take(outcome)

			agents[outcome.GetAgent()] = true
		}
	}

	if len(answer.GetOutcomes()) == 0 || o.position >= answer.GetPosition() {
		o.live = true
		o.position = max(o.position, answer.GetPosition())
	}

	return agents
}
