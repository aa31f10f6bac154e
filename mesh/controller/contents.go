package controller

import (
	"context"
	"maps"
	"slices"

	"github.com/serinhq/serin/internal/agentspec"
	"github.com/serinhq/serin/mesh/canary"
)

// AdoptAnnotation on a declaration, if it is true, drives hand-written subsets named stable and canary.
const AdoptAnnotation = "serin.dev/adopt"

func (a *agent) adopts() bool { return a.declared != nil && adopts(a.declared) }

func adopts(declared *agentspec.Agent) bool {
	return declared.Metadata.Annotations[AdoptAnnotation] == "true"
}

// excluded are the tenants that never meet a candidate.
func (a *agent) excluded() []string {
	if a.declared == nil {
		return nil
	}

	return a.declared.Spec.Rollout.ExcludeTenants
}

// content is what is remembered of a revision.
type content struct {
	revision Revision
	runs     runnable
}

func newContent(revision Revision) (content, error) {
	declared, err := agentspec.UnmarshalResolved([]byte(revision.Declaration))
	if err != nil {
		return content{}, err
	}

	one := content{revision: revision, runs: runnable{name: revision.Name, declaration: revision.Declaration}}
	for _, handoff := range declared.Spec.Handoffs {
		one.runs.handoffs = append(one.runs.handoffs, handoff.Agent)
	}

	return one, nil
}

// remember keeps a revision at hand.
func (a *agent) remember(revision Revision) (content, error) {
	one, err := newContent(revision)
	if err != nil {
		return content{}, err
	}

	a.mu.Lock()
	defer a.mu.Unlock()

	a.contents[agentspec.Short(revision.Name)] = one

	return one, nil
}

// prune forgets what the record does not speak of any more. It is called with mu held.
func (a *agent) prune() {
	names := a.record.Names()
	maps.DeleteFunc(a.contents, func(short string, _ content) bool { return !slices.Contains(names, short) })
}

// member is what of the agent shall run.
func (a *agent) member(ctx context.Context, wanted canary.Wanted) member {
	record := a.current()
	made := member{declaration: record.Declaration}

	for _, short := range wanted.Workloads {
		revision, err := a.runnable(ctx, short)
		a.trouble("revision "+short, problem("revision "+short+" can't be run", err))

		if err != nil {
			continue
		}

		if short == wanted.Intent.Candidate {
			revision.share = wanted.Share
		}

		revision.slot = record.Slots[short]

		made.revisions = append(made.revisions, revision)
	}

	return made
}

func (a *agent) runnable(ctx context.Context, short string) (runnable, error) {
	a.mu.Lock()
	one, ok := a.contents[short]
	a.mu.Unlock()

	if ok {
		return one.runs, nil
	}

	ctx, cancel := context.WithTimeout(ctx, saveTimeout)
	defer cancel()

	stored, err := a.config.Store.GetRevision(ctx, a.name, short)
	if err != nil {
		return runnable{}, err
	}

	one, err = a.remember(stored)

	return one.runs, err
}
