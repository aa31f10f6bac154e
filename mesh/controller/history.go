package controller

import (
	"cmp"
	"context"
	"strconv"

	"google.golang.org/protobuf/types/known/timestamppb"

	rolloutv1 "github.com/serinhq/serin/gen/serin/rollout/v1"
	"github.com/serinhq/serin/internal/fault"
)

// defaultPage is how many entries a page has if nobody says.
const defaultPage = 50

// ListHistory returns who did what, newest first; also of an agent of which nothing else is left.
func (s *Service) ListHistory(
	ctx context.Context, request *rolloutv1.ListHistoryRequest,
) (*rolloutv1.ListHistoryResponse, error) {
	if err := s.mayHaveHistory(ctx, request.GetAgent()); err != nil {
		return nil, err
	}

	before, err := parsePageToken(request.GetPageToken())
	if err != nil {
		return nil, err
	}

	size := cmp.Or(int(request.GetPageSize()), defaultPage)

	entries, err := s.config.Store.History(ctx, request.GetAgent(), before, size+1)
	if err != nil {
		return nil, fault.From(err)
	}

	response := &rolloutv1.ListHistoryResponse{}

	if len(entries) > size {
		entries = entries[:size]
		response.NextPageToken = strconv.FormatInt(entries[size-1].ID, 10)
	}

	for _, entry := range entries {
		response.Entries = append(response.Entries, entryView(entry))
	}

	return response, nil
}

// mayHaveHistory refuses the names of agents that never were. Errors: NOT_FOUND (AGENT_UNKNOWN).
func (s *Service) mayHaveHistory(ctx context.Context, name string) error {
	if err := s.ready(ctx); err != nil {
		return err
	}

	if s.agents.ever(name) {
		return nil
	}

	_, err := s.agents.get(name)

	return err
}

func parsePageToken(token string) (int64, error) {
	if token == "" {
		return 0, nil
	}

	before, err := strconv.ParseInt(token, 10, 64)
	if err != nil || before < 1 {
		return 0, fault.Invalid(fault.Violation{
			Field: "page_token", Message: "must be the next_page_token of the page before, as it was given",
		})
	}

	return before, nil
}

func entryView(entry HistoryEntry) *rolloutv1.HistoryEntry {
	return &rolloutv1.HistoryEntry{
		Time: timestamppb.New(entry.Time), Actor: entry.Actor, Action: entry.Action, Reason: entry.Reason,
		Attempt: entry.Attempt, Before: snapshotView(entry.Before), After: snapshotView(entry.After),
	}
}

func snapshotView(snapshot Snapshot) *rolloutv1.Snapshot {
	return &rolloutv1.Snapshot{
		Phase: phaseOf(snapshot.Phase), Stable: snapshot.Stable, Candidate: snapshot.Candidate, Weight: percent(snapshot.Weight),
	}
}
