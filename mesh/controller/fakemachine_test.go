package controller_test

import (
	"context"
	"slices"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	workloadv1 "github.com/serinhq/serin/gen/serin/workload/v1"
	"github.com/serinhq/serin/internal/agentspec"
)

// fakeMachine runs processes that are ready at once, but for those that are broken.
type fakeMachine struct {
	mu      sync.Mutex
	applied *workloadv1.ApplyRequest
	// stopped are processes that ran once and were not named any more.
	stopped []string
	broken  map[string]string
	told    chan struct{}
	refuse  func(call string) error
}

func newFakeMachine() *fakeMachine {
	return &fakeMachine{
		applied: &workloadv1.ApplyRequest{}, broken: map[string]string{}, told: make(chan struct{}),
		refuse: func(string) error { return nil },
	}
}

func (m *fakeMachine) setRefuse(refuse func(call string) error) {
	m.mu.Lock()
	defer m.mu.Unlock()

	m.refuse = refuse
	m.tell()
}

func (m *fakeMachine) Apply(
	_ context.Context, request *workloadv1.ApplyRequest, _ ...grpc.CallOption,
) (*workloadv1.ApplyResponse, error) {
	m.mu.Lock()
	defer m.mu.Unlock()

	if err := m.refuse("apply"); err != nil {
		return nil, err
	}

	before := names(m.applied)
	m.applied = proto.CloneOf(request)
	after := names(m.applied)

	for _, name := range before {
		if !slices.Contains(after, name) {
			m.stopped = append(m.stopped, name)
		}
	}

	m.tell()

	return &workloadv1.ApplyResponse{}, nil
}

func names(request *workloadv1.ApplyRequest) []string {
	all := []string{}

	for _, agent := range request.GetAgents() {
		for _, revision := range agent.GetRevisions() {
			all = append(all, agent.GetName()+"-"+agentspec.Short(revision.GetRevision()))
		}
	}

	return all
}

// running are the processes.
func (m *fakeMachine) running() []string {
	m.mu.Lock()
	defer m.mu.Unlock()

	return names(m.applied)
}

func (m *fakeMachine) request() *workloadv1.ApplyRequest {
	m.mu.Lock()
	defer m.mu.Unlock()

	return proto.CloneOf(m.applied)
}

// break makes a process not ready; an empty problem heals it.
func (m *fakeMachine) breaks(agent, revision, problem string) {
	m.mu.Lock()
	defer m.mu.Unlock()

	if problem == "" {
		delete(m.broken, agent+"-"+revision)
	} else {
		m.broken[agent+"-"+revision] = problem
	}

	m.tell()
}

// tell is called with mu held.
func (m *fakeMachine) tell() {
	close(m.told)
	m.told = make(chan struct{})
}

func (m *fakeMachine) state() (*workloadv1.WatchResponse, <-chan struct{}, error) {
	m.mu.Lock()
	defer m.mu.Unlock()

	response := &workloadv1.WatchResponse{}

	for _, agent := range m.applied.GetAgents() {
		for _, revision := range agent.GetRevisions() {
			short := agentspec.Short(revision.GetRevision())
			problem := m.broken[agent.GetName()+"-"+short]
			response.Statuses = append(response.Statuses, &workloadv1.Status{
				Agent: agent.GetName(), Revision: short, Ready: problem == "", Problem: problem,
			})
		}
	}

	return response, m.told, m.refuse("watch")
}

func (m *fakeMachine) Watch(
	ctx context.Context, _ *workloadv1.WatchRequest, _ ...grpc.CallOption,
) (grpc.ServerStreamingClient[workloadv1.WatchResponse], error) {
	return &statusStream{ctx: ctx, of: m}, nil
}

type statusStream struct {
	grpc.ClientStream

	ctx  context.Context
	of   *fakeMachine
	told <-chan struct{}
}

func (s *statusStream) Recv() (*workloadv1.WatchResponse, error) {
	if s.told != nil {
		select {
		case <-s.ctx.Done():
			return nil, s.ctx.Err()
		case <-s.told:
		}
	}

	response, told, err := s.of.state()
	s.told = told

	return response, err
}
