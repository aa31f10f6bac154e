package kube

import (
	"context"
	"fmt"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"sigs.k8s.io/controller-runtime/pkg/event"

	workloadv1 "github.com/serinhq/serin/gen/serin/workload/v1"
	"github.com/serinhq/serin/internal/fault"
	"github.com/serinhq/serin/mesh/api/v1alpha1"
)

// workloads has agents run as Deployments, and tells how their pods are. It is what the supervisor is on one machine,
// within the controller's process.
type workloads struct {
	config *Config

	mu      sync.Mutex
	request *workloadv1.ApplyRequest
	wanted  *wanted
	// problems are what keeps an agent's objects from being as wanted.
	problems map[string]string
	// changed is closed, and replaced, when pods or problems are others.
	changed chan struct{}
	// again are agents whose objects shall be looked at.
	again chan event.GenericEvent
}

// mostAgain is how many agents may wait to be looked at before Apply waits for the reconciler.
const mostAgain = 1024

func newWorkloads(config *Config) *workloads {
	return &workloads{
		config: config, problems: map[string]string{}, changed: make(chan struct{}), again: make(chan event.GenericEvent, mostAgain),
	}
}

// Apply says what shall run. The catalogue is written by the time that it returns; pods follow.
func (w *workloads) Apply(
	ctx context.Context, request *workloadv1.ApplyRequest, _ ...grpc.CallOption,
) (*workloadv1.ApplyResponse, error) {
	read, err := readWanted(request)
	if err != nil {
		return nil, fault.From(err)
	}

	if err := w.writeCatalogue(ctx, request); err != nil {
		return nil, fault.From(err)
	}

	w.mu.Lock()
	before := w.wanted
	same := proto.Equal(w.request, request)
	w.request, w.wanted = request, read
	w.mu.Unlock()

	if !same {
		w.tell()
	}

	for _, agent := range affected(before, read) {
		if err := w.lookAt(ctx, agent); err != nil {
			return nil, err
		}
	}

	return &workloadv1.ApplyResponse{}, nil
}

// affected are the agents of either.
func affected(before, after *wanted) []string {
	all := append([]string{}, after.order...)
	if before == nil {
		return all
	}

	for _, name := range before.order {
		if _, stays := after.agents[name]; !stays {
			all = append(all, name)
		}
	}

	return all
}

func (w *workloads) lookAt(ctx context.Context, agent string) error {
	object := &v1alpha1.Agent{}
	object.Name, object.Namespace = agent, w.config.Namespace

	select {
	case w.again <- event.GenericEvent{Object: object}:
		return nil
	case <-ctx.Done():
		return fault.From(ctx.Err())
	}
}

// tell has everyone who watches look again.
func (w *workloads) tell() {
	w.mu.Lock()
	defer w.mu.Unlock()

	close(w.changed)
	w.changed = make(chan struct{})
}

// of returns what shall run of an agent. Known is false as long as nobody has said what shall run at all.
func (w *workloads) of(agent string) (one wantedAgent, runs, known bool) {
	w.mu.Lock()
	defer w.mu.Unlock()

	if w.wanted == nil {
		return one, false, false
	}

	one, runs = w.wanted.agents[agent]

	return one, runs, true
}

// trouble notes what is in the way of an agent; an empty text says that nothing is any more.
func (w *workloads) trouble(agent, problem string) {
	w.mu.Lock()
	same := w.problems[agent] == problem
	w.problems[agent] = problem

	if problem == "" {
		delete(w.problems, agent)
	}
	w.mu.Unlock()

	if !same {
		w.tell()
	}
}

// Watch tells how pods are, now and with each change.
func (w *workloads) Watch(
	ctx context.Context, _ *workloadv1.WatchRequest, _ ...grpc.CallOption,
) (grpc.ServerStreamingClient[workloadv1.WatchResponse], error) {
	return &podStream{ctx: ctx, workloads: w}, nil
}

// podStream is a stream within the process.
type podStream struct {
	grpc.ClientStream

	ctx       context.Context
	workloads *workloads
	next      <-chan struct{}
	sent      *workloadv1.WatchResponse
}

// Recv waits for news.
func (s *podStream) Recv() (*workloadv1.WatchResponse, error) {
	for {
		if s.next != nil {
			select {
			case <-s.ctx.Done():
				return nil, fault.From(s.ctx.Err())
			case <-s.next:
			}
		}

		s.workloads.mu.Lock()
		s.next = s.workloads.changed
		s.workloads.mu.Unlock()

		now, err := s.workloads.look(s.ctx)
		if err != nil {
			return nil, fault.From(fmt.Errorf("look at the pods: %w", err))
		}

		if s.sent == nil || !proto.Equal(s.sent, now) {
			s.sent = now

			return now, nil
		}
	}
}
