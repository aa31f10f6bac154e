// Package supervise keeps a set of operating system processes running: it restarts what dies, with backoff, and stops
// them in stages. Listening sockets belong to the supervisor and are inherited, so a restart refuses no connection.
package supervise

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"sync"
	"time"
)

// ExitConfig is the exit code of a process that was started wrongly, EX_CONFIG of sysexits.h: starting it again would
// not help. It is not 2, which is how a Go program exits that panics.
const ExitConfig = 78

const defaultMaxLogBytes = 10 << 20

// State is where a process is in its life.
type State string

// The states of a process.
const (
	Starting   State = "starting"
	Ready      State = "ready"
	Unready    State = "unready" // it was ready, and runs
	Restarting State = "restarting"
	Stopped    State = "stopped"
)

// Process describes one process to keep running.
type Process struct {
	// Name is unique within the supervisor.
	Name string
	// Path is the executable; Args do not repeat it.
	Path string
	Args []string
	// Env is the whole environment.
	Env []string
	// EnvNow is added to Env with each start; nil adds nothing.
	EnvNow func() []string
	// Files are inherited as descriptors from 3 on. After them comes the lifeline: a pipe that reads EOF once the
	// supervisor is gone, its number in the variable SERIN_LIFELINE_FD.
	Files []*os.File
	// LogPath is a file that standard output and error are appended to.
	// Each start of the process puts it aside as LogPath.1 if it is larger than [Config.MaxLogBytes].
	LogPath string
	// Ready is polled until it returns nil, and from then on every [Config.ReadyInterval], with a context that ends after
	// twice that time; it must heed it. After [Config.ReadyFailures] errors in a row the process is [Unready], with the next
	// nil it is [Ready] again. Nil means ready as soon as it runs.
	Ready func(context.Context) error
	// Alive is polled every [Config.AliveInterval] once the process was ready, with a context that ends after that
	// interval; it must heed it. After [Config.AliveFailures] errors in a row the process is killed and started again.
	// Nil means that nobody looks.
	Alive func(context.Context) error
	// OnStopped is called once, after the process has ended for good and before the next stage stops. Nil means nothing
	// is to be done.
	OnStopped func()
	// Stage orders the stop: higher stages stop first, and each waits for the one before.
	Stage int
}

// Status is what a supervisor knows of a process.
type Status struct {
	Name     string    `json:"name"`
	State    State     `json:"state"`
	PID      int       `json:"pid,omitempty"`
	Restarts int       `json:"restarts"`
	Since    time.Time `json:"since"`
	// LastExit says how it ended the last time, with the last line that it wrote.
	LastExit string `json:"lastExit,omitempty"`
	// Problem says why a process that runs is not ready.
	Problem string `json:"problem,omitempty"`
}

// Config holds what a supervisor needs. The zero value works.
type Config struct {
	Logger *slog.Logger
	// MinBackoff and MaxBackoff bound the wait before a restart: 100 ms and 5 s by default.
	MinBackoff, MaxBackoff time.Duration
	// Grace is how long a process may take to stop before it is killed; 10 s by default.
	Grace time.Duration
	// ReadyInterval is the time between two looks at whether a process is still ready; 1 s by default. A look may take
	// twice as long: on a busy machine a slow answer must not take the only process of a revision out of traffic.
	ReadyInterval time.Duration
	// ReadyFailures is how many looks in a row must fail for a process to be unready; 3 by default.
	ReadyFailures int
	// AliveInterval is the time between two looks at whether a process is alive, and the time that one look may take;
	// 5 s by default.
	AliveInterval time.Duration
	// AliveFailures is how many looks in a row must fail for a process to be killed; 3 by default.
	AliveFailures int
	// MaxLogBytes is how large a log may be when a process starts, or else it is put aside; 10 MiB by default.
	MaxLogBytes int64
	// OnChange is called, one call at a time, with every change of a status.
	OnChange func(Status)
}

// Supervisor keeps processes running. Make one with [New].
type Supervisor struct {
	config Config

	notify sync.Mutex // one OnChange at a time, in order

	mu       sync.Mutex
	members  map[string]*member
	fail     context.CancelCauseFunc // nil while Run does not run
	statuses map[string]Status
	order    []string
	changed  chan struct{}
}

// member is one process that is kept running.
type member struct {
	process Process
	stop    context.CancelFunc
	done    chan struct{}
	restart chan struct{}
	// late says that it came after Run began: if it is misconfigured, the others go on.
	late bool
}

// New makes a supervisor.
func New(config Config) *Supervisor {
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}

	config.MinBackoff = orDefault(config.MinBackoff, 100*time.Millisecond)
	config.MaxBackoff = orDefault(config.MaxBackoff, 5*time.Second)
	config.Grace = orDefault(config.Grace, 10*time.Second)
	config.ReadyInterval = orDefault(config.ReadyInterval, time.Second)
	config.ReadyFailures = orDefault(config.ReadyFailures, 3)
	config.AliveInterval = orDefault(config.AliveInterval, 5*time.Second)
	config.AliveFailures = orDefault(config.AliveFailures, 3)
	config.MaxLogBytes = orDefault(config.MaxLogBytes, defaultMaxLogBytes)

	return &Supervisor{
		config: config, members: map[string]*member{}, statuses: map[string]Status{}, changed: make(chan struct{}),
	}
}

func orDefault[T ~int | ~int64](value, standard T) T {
	if value <= 0 {
		return standard
	}

	return value
}

// Run starts the processes and keeps them, and those that are added meanwhile, running until the context ends; then it
// stops them, stage by stage, and returns nil. A process that ends with [ExitConfig] before it was ever ready is
// misconfigured: Run stops everything and returns a [ConfigError] with its last words.
func (s *Supervisor) Run(ctx context.Context, processes []Process) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)

	// All at once: nobody must take the first few for all.
	for _, process := range processes {
		s.update(Status{Name: process.Name, State: Starting, Since: time.Now()})
	}

	s.mu.Lock()
	s.fail = cancel

	for _, process := range processes {
		s.take(ctx, process, false)
	}
	s.mu.Unlock()

	<-ctx.Done()
	s.stopByStage()

	if bad, ok := errors.AsType[*ConfigError](context.Cause(ctx)); ok {
		return bad
	}

	return nil
}

// Add keeps one more process running, while [Supervisor.Run] runs. Where it ends with [ExitConfig] before it was ever
// ready, only it stops, and its status says why. A name that is taken is an error.
func (s *Supervisor) Add(process Process) error {
	s.mu.Lock()

	if s.fail == nil {
		s.mu.Unlock()

		return fmt.Errorf("add process %s: %w", process.Name, ErrNotRunning)
	}

	if s.members[process.Name] != nil {
		s.mu.Unlock()

		return fmt.Errorf("add process %s: there is one of that name", process.Name)
	}

	s.take(context.Background(), process, true)
	s.mu.Unlock()

	return nil
}

// Running reports whether [Supervisor.Add] would be heard.
func (s *Supervisor) Running() bool {
	s.mu.Lock()
	defer s.mu.Unlock()

	return s.fail != nil
}

// ErrNotRunning says that a supervisor does not run, or stops.
var ErrNotRunning = errors.New("the supervisor is not running")

// take begins to keep a process. The lock is held.
func (s *Supervisor) take(ctx context.Context, process Process, late bool) {
	// Stopping is by stage, not by the caller's context.
	own, stop := context.WithCancel(context.WithoutCancel(ctx))
	joined := &member{process: process, stop: stop, done: make(chan struct{}), restart: make(chan struct{}, 1), late: late}
	s.members[process.Name] = joined
	fail := s.fail

	go func() {
		defer close(joined.done)

		if err := s.keep(own, joined); err != nil && !late {
			fail(err)
		}
	}()
}

// Remove stops a process in its grace and forgets it; it returns once the process has ended. What is not there is
// removed.
func (s *Supervisor) Remove(name string) {
	s.mu.Lock()
	leaving := s.members[name]
	s.mu.Unlock()

	if leaving == nil {
		return
	}

	leaving.stop()
	<-leaving.done

	s.mu.Lock()
	delete(s.members, name)
	delete(s.statuses, name)
	s.order = slices.DeleteFunc(s.order, func(known string) bool { return known == name })
	s.tell()
	s.mu.Unlock()
}

// Restart stops a process in its grace and starts it again at once; it does not wait for either.
func (s *Supervisor) Restart(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()

	if again := s.members[name]; again != nil {
		select {
		case again.restart <- struct{}{}:
		default: // it is about to
		}
	}
}

// stopByStage stops everything, higher stages first, and lets nothing in any more.
func (s *Supervisor) stopByStage() {
	s.mu.Lock()
	s.fail = nil
	stages := map[int][]*member{}

	for _, one := range s.members {
		stages[one.process.Stage] = append(stages[one.process.Stage], one)
	}
	s.mu.Unlock()

	for _, stage := range slices.Backward(slices.Sorted(maps.Keys(stages))) {
		for _, one := range stages[stage] {
			one.stop()
		}

		for _, one := range stages[stage] {
			<-one.done
		}
	}
}

// ConfigError says that a process refused to start because of its configuration.
type ConfigError struct{ Name, LastWords string }

// Error names the process and repeats its last words.
func (e *ConfigError) Error() string { return fmt.Sprintf("%s: %s", e.Name, e.LastWords) }

// Statuses returns the processes' statuses in the order in which they were given.
func (s *Supervisor) Statuses() []Status {
	s.mu.Lock()
	defer s.mu.Unlock()

	return s.all()
}

// Changed returns the statuses, and a channel that is closed with the next change.
func (s *Supervisor) Changed() ([]Status, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()

	return s.all(), s.changed
}

func (s *Supervisor) all() []Status {
	all := make([]Status, 0, len(s.order))
	for _, name := range s.order {
		all = append(all, s.statuses[name])
	}

	return all
}

// WaitReady returns once every process that [Supervisor.Run] was given is ready at the same time. One that was added may
// never be, and nobody who waits for the others wants that.
func (s *Supervisor) WaitReady(ctx context.Context) error {
	for {
		s.mu.Lock()
		changed, waiting := s.changed, ""

		for _, name := range s.order {
			if one := s.members[name]; s.statuses[name].State != Ready && (one == nil || !one.late) {
				waiting = name

				break
			}
		}

		started := len(s.order) > 0
		s.mu.Unlock()

		if started && waiting == "" {
			return nil
		}

		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %w", waiting, context.Cause(ctx))
		}
	}
}

func (s *Supervisor) update(status Status) {
	s.notify.Lock()
	defer s.notify.Unlock()

	s.mu.Lock()
	if _, known := s.statuses[status.Name]; !known {
		s.order = append(s.order, status.Name)
	}

	s.statuses[status.Name] = status
	s.tell()
	s.mu.Unlock()

	if s.config.OnChange != nil {
		s.config.OnChange(status)
	}
}

// tell wakes who waits for a change. The lock is held.
func (s *Supervisor) tell() {
	close(s.changed)
	s.changed = make(chan struct{})
}
