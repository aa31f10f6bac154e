package controller

import (
	"context"
	"sync"
	"time"

	workloadv1 "github.com/serinhq/serin/gen/serin/workload/v1"
	"github.com/serinhq/serin/mesh/canary"
)

// watchAgain is how long a stream that broke is left alone.
const watchAgain = 200 * time.Millisecond

// statuses knows the processes of all agents, as long as the supervisor tells.
type statuses struct {
	workloads workloadv1.WorkloadServiceClient
	// changed is called whenever the supervisor has told of processes.
	changed func()

	mu     sync.Mutex
	known  bool
	agents map[string]map[string][]*workloadv1.Status
}

// run follows the supervisor until ctx ends.
func (s *statuses) run(ctx context.Context) {
	for ctx.Err() == nil {
		_ = s.follow(ctx) // a stream that broke is begun again; until then nothing is known

		s.forget()

		if !sleep(ctx, watchAgain) {
			return
		}
	}
}

func (s *statuses) follow(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	stream, err := s.workloads.Watch(ctx, &workloadv1.WatchRequest{})
	if err != nil {
		return err
	}

	for {
		answer, err := stream.Recv()
		if err != nil {
			return err
		}

		s.take(answer.GetStatuses())
	}
}

func (s *statuses) take(all []*workloadv1.Status) {
	agents := map[string]map[string][]*workloadv1.Status{}

	for _, status := range all {
		if agents[status.GetAgent()] == nil {
			agents[status.GetAgent()] = map[string][]*workloadv1.Status{}
		}

		revisions := agents[status.GetAgent()]
		revisions[status.GetRevision()] = append(revisions[status.GetRevision()], status)
	}

	s.mu.Lock()
	s.known, s.agents = true, agents
	s.mu.Unlock()
	s.changed()
}

func (s *statuses) forget() {
	s.mu.Lock()
	s.known, s.agents = false, nil
	s.mu.Unlock()
}

// of returns the processes of an agent by revision; nil if they are not known.
func (s *statuses) of(agent string) map[string][]*workloadv1.Status {
	s.mu.Lock()
	defer s.mu.Unlock()

	if !s.known {
		return nil
	}

	if s.agents[agent] == nil {
		return map[string][]*workloadv1.Status{}
	}

	return s.agents[agent]
}

// readiness is what the engine is told; nil if nothing is known.
func readiness(processes map[string][]*workloadv1.Status, revisions []string) map[string]canary.Readiness {
	if processes == nil {
		return nil
	}

	all := make(map[string]canary.Readiness, len(revisions))

	for _, revision := range revisions {
		one := canary.Readiness{}

		for _, status := range processes[revision] {
			if status.GetReady() {
				one.Ready++
			}
		}

		all[revision] = one
	}

	return all
}
