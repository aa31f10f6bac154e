package controller

import (
	"context"
	"sync"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/serinhq/serin/internal/agentspec"
	"github.com/serinhq/serin/internal/fault"
	"github.com/serinhq/serin/mesh/canary"
)

// saveTimeout bounds one write to the store; a decision that was made is kept even if its caller has gone.
const saveTimeout = 5 * time.Second

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

	// What the goroutine alone knows: what each worker was told last, and decisions that are being carried out but could
	// not be kept yet.
	ordered     *order
	withdrawing []canary.Withdrawal
	asking      bool
	unkept      bool
	pending     []HistoryEntry

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
	// gone is called once nothing of the agent is left.
	gone func(record Record)
}

// change is what someone wants of an agent.
type change struct {
	command *canary.Command
	// content is the revision of a command that brings one.
	content *Revision
	// edit changes what is beside the state.
	edit  func(*Record)
	actor string

	answer chan error
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
	if !a.mesh.look().known {
		return nil
	}

	return a.changes
}

// do has a change decided and returns once the decision is kept.
func (a *agent) do(ctx context.Context, wanted *change) error {
	wanted.answer = make(chan error, 1)

	door := a.changes
	if wanted.command != nil && wanted.command.Kind == canary.Abort {
		door = a.urgent
	}

	select {
	case door <- wanted:
	case <-a.ended:
		return goingAway()
	case <-ctx.Done():
		return fault.New(codes.Unavailable, "MESH_UNKNOWN",
			"the mesh can't be read, so nothing but an abort of %s is decided: %s", a.name, a.mesh.look().problem)
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

func (a *agent) handle(ctx context.Context, wanted *change) {
	a.advance(ctx)
	wanted.answer <- a.decide(ctx, wanted)
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
