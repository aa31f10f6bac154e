package controller

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/serinhq/serin/internal/agentspec"
	"github.com/serinhq/serin/internal/fault"
	"github.com/serinhq/serin/mesh/canary"
)

// platform is who acts when nobody else does.
const platform = "serin"

// agent decides for one agent. Its goroutine alone writes what mu guards.
type agent struct {
	name   string
	config *Config
	shared *shared

	mesh       *mesh
	withdrawer *withdrawer
	usage      *usage

	// changes wait until the mesh has been looked at: a decision without it could undo another. Those that are urgent
	// don't.
	changes, urgent chan *change
	wake            chan struct{}
	// ended is closed when nobody decides for the agent any more.
	ended   chan struct{}
	changed broadcast

	// What the goroutine alone knows: what each worker was told last, ...
	ordered     *order
	withdrawing []canary.Withdrawal
	asking      bool
	// ... the write to the store that is under way and what waits for its end, ...
	saving *saving
	held   []*change
	// ... whether the record is carried out but not kept yet, by how many decisions ever, what they say in the history, and
	// who waits for it, ...
	unkept  bool
	taken   int
	pending []HistoryEntry
	waiting []*change
	// ... and when the last withdrawal was confirmed.
	withdrawnAt time.Time

	mu     sync.Mutex
	record Record
	// declared is the record's declaration, nil if the agent is not declared any more.
	declared *agentspec.Agent
	contents map[string]content
	// seen is the last observation.
	seen canary.Observation
	// troubles are what is in the way of deciding, by what it is about.
	troubles map[string]string
}

// shared is what all agents have in common.
type shared struct {
	statuses *statuses
	outcomes *outcomes
	fleet    *fleet
	metrics  *metrics
	// gone is called once nothing of the agent is left.
	gone func(record Record)
}

// change is what someone wants of an agent.
type change struct {
	command *canary.Command
	// content is the revision of a command that brings one.
	content *Revision
	// edit changes what is beside the state.
	edit func(*Record)
	// action and reason are what the audit log says of the edit; nothing if they are empty.
	action, reason string
	actor          string

	// answer is nil if the agent wants it by itself.
	answer chan error
}

// urgent reports whether a change waits for nothing.
func (c *change) urgent() bool { return c.command != nil && c.command.Kind == canary.Abort }

func (c *change) answered(err error) {
	if c.answer != nil {
		c.answer <- err
	}
}

func newAgent(config *Config, shared *shared, record Record) *agent {
	one := &agent{
		name: record.Agent, config: config, shared: shared, record: record,
		changes: make(chan *change), urgent: make(chan *change), wake: make(chan struct{}, 1),
		ended:    make(chan struct{}),
		contents: map[string]content{}, troubles: map[string]string{},
	}
	one.read()

	poke := func() { notify(one.wake) }
	one.mesh = newMesh(config, config.target(record.Agent, one.adopts()), poke)
	one.withdrawer = newWithdrawer(config, record.Agent, poke)
	one.usage = newUsage(config, record.Agent, poke)

	return one
}

// run steers the agent until ctx ends or nothing of it is left.
func (a *agent) run(ctx context.Context) {
	defer close(a.ended)
	defer a.leave(ctx)

	ctx, cancel := context.WithCancel(ctx)

	var working sync.WaitGroup
	defer working.Wait()
	defer cancel()

	working.Go(func() { a.mesh.worker.run(ctx) })
	working.Go(func() { a.mesh.watch(ctx) })
	working.Go(func() { a.withdrawer.worker.run(ctx) })
	working.Go(func() { a.usage.worker.run(ctx) })

	tick := time.NewTicker(a.config.Interval)
	defer tick.Stop()

	for !a.isGone() {
		select {
		case <-ctx.Done():
			return
		case wanted := <-a.urgent:
			a.handle(ctx, wanted)
		case wanted := <-a.open():
			a.handle(ctx, wanted)
		case err := <-a.written():
			a.saved(ctx, err)
		case <-a.wake:
			a.advance(ctx)
		case <-tick.C:
			a.advance(ctx)
		}

		a.changed.tell()
	}
}

// open is where changes come from, once they may.
func (a *agent) open() <-chan *change {
	if !a.mesh.look().known || a.saving != nil {
		return nil
	}

	return a.changes
}

// do has a change decided and returns once the decision is kept. An abort is carried out by then; if it can't be kept, it
// is all the same.
func (a *agent) do(ctx context.Context, wanted *change) error {
	wanted.answer = make(chan error, 1)

	door := a.changes
	if wanted.urgent() {
		door = a.urgent
	}

	select {
	case door <- wanted:
	case <-a.ended:
		return goingAway()
	case <-ctx.Done():
		return a.tooLate(ctx)
	}

	select {
	case err := <-wanted.answer:
		return err
	case <-a.ended:
		return goingAway()
	case <-ctx.Done():
		return fault.From(ctx.Err())
	}
}

// tooLate is the fault for a change that was not looked at before its caller had enough of waiting.
func (a *agent) tooLate(ctx context.Context) error {
	seen := a.mesh.look()
	if seen.known || !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fault.From(ctx.Err())
	}

	return fault.New(codes.Unavailable, "MESH_UNKNOWN",
		"the mesh can't be read, so nothing but an abort of %s is decided: %s", a.name, cmp.Or(seen.problem, "it has not answered yet"))
}

// current returns the record as it is.
func (a *agent) current() Record {
	a.mu.Lock()
	defer a.mu.Unlock()

	return a.record
}

func (a *agent) isGone() bool { return a.current().Gone }

// trouble notes what is in the way; an empty text says that nothing is any more.
func (a *agent) trouble(about, text string) {
	a.mu.Lock()
	defer a.mu.Unlock()

	if text == "" {
		delete(a.troubles, about)
	} else {
		a.troubles[about] = text
	}
}

// goingAway is the fault for asking a controller that stops.
func goingAway() error {
	return fault.New(codes.Unavailable, "DRAINING", "the controller is stopping; ask again").After(time.Second)
}

// read parses the record's declaration.
func (a *agent) read() {
	a.declared = nil

	if a.record.Declaration == "" {
		return
	}

	declared, err := agentspec.UnmarshalResolved([]byte(a.record.Declaration))
	if err != nil {
		a.troubles["declaration"] = problem("the stored declaration", err)

		return
	}

	delete(a.troubles, "declaration")
	a.declared = &declared
}
