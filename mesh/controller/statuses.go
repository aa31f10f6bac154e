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
	agents map[string]map[string]running
}

// running is what there is of one revision.
type running struct {
	processes []*workloadv1.Status
	// size is how many there shall be; 0 where it is one for each revision.
	size int
}

func (r running) ready() int {
	ready := 0

	for _, status := range r.processes {
		if status.GetReady() {
			ready++
		}
	}

	return ready
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

		s.take(answer)
	}
}

func (s *statuses) take(all *workloadv1.WatchResponse) {
	agents := map[string]map[string]running{}
	edit := func(agent, revision string, change func(*running)) {
		if agents[agent] == nil {
			agents[agent] = map[string]running{}
		}

		one := agents[agent][revision]
		change(&one)
		agents[agent][revision] = one
	}

	for _, status := range all.GetStatuses() {
		edit(status.GetAgent(), status.GetRevision(), func(r *running) { r.processes = append(r.processes, status) })
	}

	for _, size := range all.GetSizes() {
		edit(size.GetAgent(), size.GetRevision(), func(r *running) { r.size = int(size.GetProcesses()) })
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

// of returns what there is of an agent by revision; nil if it is not known.
func (s *statuses) of(agent string) map[string]running {
	s.mu.Lock()
	defer s.mu.Unlock()

	if !s.known {
		return nil
	}

	if s.agents[agent] == nil {
		return map[string]running{}
	}

	return s.agents[agent]
}

// readiness is what the engine is told; nil if nothing is known.
func readiness(all map[string]running, revisions []string) map[string]canary.Readiness {
	if all == nil {
		return nil
	}

	found := make(map[string]canary.Readiness, len(revisions))
	for _, revision := range revisions {
		found[revision] = canary.Readiness{Ready: all[revision].ready(), Size: all[revision].size}
	}

	return found
}
