package controller

import (
	"context"
	"sync"
	"time"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	"github.com/serinhq/serin/mesh/canary"
)

// idleUseFactor is how much rarer the store is asked about agents that nothing depends on.
const idleUseFactor = 10

// usage asks the context store how much an agent's revisions are used.
type usage struct {
	config  *Config
	agent   string
	worker  *worker[bool]
	changed func()

	mu   sync.Mutex
	seen useSeen
}

// useSeen is what the store said last.
type useSeen struct {
	// asked is when it was asked; zero if it never answered.
	asked     time.Time
	revisions map[string]*contextv1.RevisionUse
}

func newUsage(config *Config, agent string, changed func()) *usage {
	u := &usage{config: config, agent: agent, changed: changed}
	u.worker = newWorker(u.work)

	return u
}

func (u *usage) look() useSeen {
	u.mu.Lock()
	defer u.mu.Unlock()

	return u.seen
}

// work asks once; often while a rollout is in progress or a revision leaves.
func (u *usage) work(ctx context.Context, often bool) time.Duration {
	again := u.config.UseInterval
	if !often {
		again *= idleUseFactor
	}

	asked := u.config.now()

	answer, err := u.config.Context.ListRevisions(ctx, &contextv1.ListRevisionsRequest{Agent: u.agent})
	if err != nil {
		return u.config.UseInterval
	}

	seen := useSeen{asked: asked, revisions: map[string]*contextv1.RevisionUse{}}
	for _, use := range answer.GetRevisions() {
		seen.revisions[use.GetRevision()] = use
	}

	u.mu.Lock()
	u.seen = seen
	u.mu.Unlock()
	u.changed()

	return again
}

// uses is what the engine may rely on: nothing if the answer is old.
func (s useSeen) uses(now time.Time, oldest time.Duration, revisions []string) map[string]canary.Use {
	if s.asked.IsZero() || now.Sub(s.asked) > oldest {
		return nil
	}

	uses := make(map[string]canary.Use, len(revisions))

	for _, revision := range revisions {
		found := s.revisions[revision] // nil means that nothing ever ran on it
		use := canary.Use{Running: found.GetRunningTurns()}

		if found.GetLastActiveAt() != nil {
			use.LastActive = found.GetLastActiveAt().AsTime()
		}

		uses[revision] = use
	}

	return uses
}

// withdrawn returns what the store has replaced a revision by, if it is sure to be so since a moment.
func (s useSeen) withdrawn(revision string, since time.Time) (replacement string, ok bool) {
	use := s.revisions[revision]
	if !s.asked.After(since) || !use.GetWithdrawn() {
		return "", false
	}

	return use.GetReplacement(), true
}
