package tools

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/serinhq/serin/internal/agentspec"
	"github.com/serinhq/serin/internal/fault"
	"github.com/serinhq/serin/services/tools/outbound"
)

// steady is how long a server must have run for its next restart to come quickly again.
const steady = 10 * time.Second

// legacyProtocol is asked for where a server did not answer to the newest one: some ignore, or die of, a method that
// they don't know.
const legacyProtocol = "2025-11-25"

// server keeps one MCP server running and knows its tools. It is the backend of these tools.
type server struct {
	name   string
	spec   agentspec.MCPServerSpec
	config Config
	logger *slog.Logger

	mu      sync.Mutex
	session *session         // nil while it is down
	tools   map[string]*tool // by model name; nil until it was listed once, and kept while the server is down
	slots   map[string]slots // by model name; kept over listings, so that limits hold
	problem error            // why it is down
	wake    chan struct{}    // closed and replaced with every change

	parting sync.WaitGroup // sessions that end while the next one has begun
}

func newServer(spec agentspec.MCPServer, config Config) *server {
	name := spec.Metadata.Name

	return &server{
		name: name, spec: spec.Spec, config: config,
		logger:  config.Telemetry.Logger.With("server", name),
		slots:   map[string]slots{},
		problem: errors.New("it has not been started yet"),
		wake:    make(chan struct{}),
	}
}

// run starts the server again and again until the context ends, and ends it then.
func (s *server) run(ctx context.Context) {
	defer s.parting.Wait()

	backoff, version := s.config.MinBackoff, ""

	for {
		started := time.Now()
		greeted, err := s.once(ctx, version)

		if ctx.Err() != nil {
			s.set(nil, ctx.Err())

			return
		}

		s.set(nil, err)

		if time.Since(started) > steady && greeted {
			backoff = s.config.MinBackoff
		}

		if !greeted && s.mayBeOld(err) {
			version = otherVersion(version)
		}

		wait := jitter(backoff)
		s.logger.WarnContext(ctx, "tool server is down", "error", err.Error(), "restart_in", wait.String())

		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}

		backoff = min(2*backoff, s.config.MaxBackoff)
	}
}

// mayBeOld reports whether a server that could not be greeted may not know the protocol that it was greeted in. Over HTTP
// such servers refuse it at once, and are greeted in an older one then; but some may never answer.
func (s *server) mayBeOld(err error) bool {
	return s.spec.URL == "" || errors.Is(err, context.DeadlineExceeded)
}

func otherVersion(version string) string {
	if version == "" {
		return legacyProtocol
	}

	return ""
}

// jitter spreads restarts over 75% to 125% of the wait.
func jitter(wait time.Duration) time.Duration {
	return wait*3/4 + rand.N(wait/2+1) //nolint:gosec // spreading restarts needs no secrecy
}

// once is one life of the server. It returns whether it could be greeted, and why its life ended.
func (s *server) once(ctx context.Context, version string) (greeted bool, err error) {
	starting, cancel := context.WithTimeout(ctx, s.config.StartLimit)
	defer cancel()

	session, err := s.connect(starting, version)
	if err != nil {
		return false, err
	}
	defer s.part(session)

	listed, err := session.list(starting)
	if err != nil {
		return true, err
	}

	s.offer(listed)
	s.set(session, nil)
	s.logger.InfoContext(ctx, "tool server is up", "tools", len(listed), "at", session.peer.place())

	err = s.serve(ctx, session)
	s.set(nil, err) // before its end, which takes a while

	return true, err
}

func (s *server) connect(ctx context.Context, version string) (*session, error) {
	if s.spec.URL == "" {
		return connectProcess(ctx, s.command(), s.environment(), version, s.config.StopGrace, s.logger)
	}

	client, err := outbound.New(outbound.Config{Spec: &s.spec, Getenv: s.config.Getenv})
	if err != nil {
		return nil, err
	}

	return connectWeb(ctx, s.spec.URL, client, version, s.config.Look, s.logger)
}

// part ends a session. Calls that a server over HTTP works on are let finish: what ended the session may have been no
// more than a moment without a network.
func (s *server) part(session *session) {
	session.end()

	if session.peer.looks() == 0 {
		session.close()

		return
	}

	s.parting.Go(func() {
		session.calls.Wait()
		session.close()
	})
}

// serve follows the session until it ends; then no call goes to it any more.
func (s *server) serve(ctx context.Context, session *session) error {
	look, stop := every(session.peer.looks())
	defer stop()

	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-session.ended:
			return fmt.Errorf("it ended (%s)", session.peer.story())
		case <-session.changed:
			if err := s.relist(ctx, session); err != nil {
				s.logger.WarnContext(ctx, "tools could not be listed again", "error", err.Error())
			}
		case <-look:
			if err := s.relist(ctx, session); err != nil {
				return err
			}
		}
	}
}

// every is a channel that is told each time such a while has passed; never for 0.
func every(while time.Duration) (ticks <-chan time.Time, stop func()) {
	if while == 0 {
		return nil, func() {}
	}

	ticker := time.NewTicker(while)

	return ticker.C, ticker.Stop
}

// relist reads the tools again; if that fails, the ones that are known stay.
func (s *server) relist(ctx context.Context, session *session) error {
	ctx, cancel := context.WithTimeout(ctx, s.config.StartLimit)
	defer cancel()

	listed, err := session.list(ctx)
	if err != nil {
		return err
	}

	s.offer(listed)
	s.logger.DebugContext(ctx, "tools were listed again", "tools", len(listed))

	return nil
}

func (s *server) command() []string {
	command := slices.Clone(s.spec.Command)
	if command[0] == "serin" {
		command[0] = s.config.SelfPath
	}

	return command
}

// environment is the server's whole environment: it gets none of this process's secrets.
func (s *server) environment() []string {
	environment := make([]string, 0, 2+len(s.spec.Env)) //nolint:mnd // PATH and HOME
	environment = append(environment, "PATH="+os.Getenv("PATH"), "HOME="+os.Getenv("HOME"))

	for name, value := range s.spec.Env {
		environment = append(environment, name+"="+value)
	}

	return environment
}

// offer replaces the tools by those that were listed and are usable.
func (s *server) offer(listed []*mcp.Tool) {
	made, refused := makeTools(s.name, listed, s.spec)
	for _, reason := range refused {
		s.logger.Error("tool is refused", "error", reason.Error())
	}

	s.mu.Lock()
	defer s.mu.Unlock()

	for name, tool := range made {
		tool.backend = s
		tool.slots = s.slotsFor(name, settingsOf(s.spec, tool.remote).MaxConcurrent)
	}

	s.tools = made
	s.notify()
}

func (s *server) slotsFor(name string, limit int32) slots {
	if _, known := s.slots[name]; !known {
		s.slots[name] = make(slots, slotLimit(limit))
	}

	return s.slots[name]
}

func slotLimit(declared int32) int32 {
	if declared <= 0 {
		return defaultMaxConcurrent
	}

	return declared
}

// makeTools returns the usable tools by model name, and why the others are refused. Of several tools with one name none
// is offered: which of them a model would get must not depend on the order of a list.
func makeTools(server string, listed []*mcp.Tool, spec agentspec.MCPServerSpec) (tools map[string]*tool, refused []error) {
	tools = map[string]*tool{}
	byName := map[string][]string{}

	for _, each := range listed {
		name := modelName(server, each.Name)
		byName[name] = append(byName[name], each.Name)

		made, err := newTool(server, each, spec)
		if err == nil && strings.HasPrefix(name, handoffPrefix) {
			err = fmt.Errorf("names that begin with %s are for handoffs", handoffPrefix)
		}

		if err != nil {
			refused = append(refused, fmt.Errorf("%s (%s of server %s): %w", name, each.Name, server, err))

			continue
		}

		tools[name] = made
	}

	for name, originals := range byName {
		if len(originals) > 1 {
			delete(tools, name)

			refused = append(refused, fmt.Errorf("%s: server %s has more than one tool of that name: %s",
				name, server, strings.Join(originals, ", ")))
		}
	}

	return tools, refused
}

func (s *server) set(session *session, problem error) {
	s.mu.Lock()
	defer s.mu.Unlock()

	s.session, s.problem = session, problem
	s.notify()
}

// notify wakes all who wait. The lock is held.
func (s *server) notify() {
	close(s.wake)
	s.wake = make(chan struct{})
}

// listed returns the tools, those of an earlier life if the server is down now.
func (s *server) listed(ctx context.Context) (map[string]*tool, error) {
	var tools map[string]*tool

	err := s.until(ctx, func() bool {
		tools = s.tools

		return tools != nil
	})

	return tools, err
}

// live returns a session that has not ended.
func (s *server) live(ctx context.Context) (*session, error) {
	var current *session

	err := s.until(ctx, func() bool {
		current = s.session

		return current != nil && current.alive()
	})

	return current, err
}

// until waits for a condition on the state. The error is TOOL_SERVER_DOWN, with the last problem.
func (s *server) until(ctx context.Context, met func() bool) error {
	for {
		s.mu.Lock()
		done, wake := met(), s.wake
		s.mu.Unlock()

		if done {
			return nil
		}

		select {
		case <-wake:
		case <-ctx.Done():
			return s.down()
		}
	}
}

func (s *server) down() error {
	s.mu.Lock()
	defer s.mu.Unlock()

	return fault.New(codes.Unavailable, "TOOL_SERVER_DOWN", "tool server %s is down: %s", s.name, describeProblem(s.problem)).
		With("server", s.name).After(time.Second)
}

func describeProblem(problem error) string {
	if problem == nil {
		return "it is starting"
	}

	return clip(problem.Error(), maxProblem)
}

// up returns nil while the server runs.
func (s *server) up() error {
	s.mu.Lock()
	running := s.session != nil
	s.mu.Unlock()

	if running {
		return nil
	}

	return s.down()
}

// offers reports whether a granted name means one of the tools.
func (s *server) offers(grant string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()

	return offersOne(s.tools, grant)
}

func offersOne(tools map[string]*tool, grant string) bool {
	for name := range tools {
		if covers(grant, name) {
			return true
		}
	}

	return false
}

func (s *server) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.config.ServerWait)
	defer cancel()

	_, err := s.live(ctx)

	return err
}

// call sends a call to the session that lives now, or to the next one if that turns out to have ended before.
func (s *server) call(ctx context.Context, call invocation) (reply, error) {
	for {
		session, err := s.live(ctx)
		if err != nil {
			return reply{}, fmt.Errorf("%w: %w", errNotSent, err)
		}

		answer, err := session.call(ctx, call)
		if !errors.Is(err, errNotSent) {
			return answer, err
		}
	}
}
