package contextstore

import (
	"cmp"
	"context"
	"slices"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
)

// ListRevisions returns how much an agent's revisions are used.
func (s *Service) ListRevisions(
	ctx context.Context, request *contextv1.ListRevisionsRequest,
) (*contextv1.ListRevisionsResponse, error) {
	response := &contextv1.ListRevisionsResponse{}

	err := s.store.View(ctx, About{}, func(reader Reader) error {
		uses, err := reader.RevisionUses(request.GetAgent())
		if err != nil {
			return err
		}

		withdrawals, err := reader.Withdrawals(request.GetAgent())
		response.Revisions = revisionsInUse(uses, withdrawals)

		return err
	})
	if err != nil {
		return nil, err
	}

	return response, nil
}

// revisionsInUse applies withdrawals to what the rows say: a pin that moved counts where it leads.
func revisionsInUse(uses []RevisionUse, withdrawals []Withdrawal) []*contextv1.RevisionUse {
	used := map[string]*contextv1.RevisionUse{}
	get := func(revision string) *contextv1.RevisionUse {
		if used[revision] == nil {
			used[revision] = &contextv1.RevisionUse{Revision: revision}
			if verdict := resolve(withdrawals, revision); verdict.withdrawn {
				used[revision].Withdrawn, used[revision].Replacement = true, verdict.successor
			}
		}

		return used[revision]
	}

	for _, use := range uses {
		own := get(use.Revision)
		own.RunningTurns += use.Running

		if !use.LastActive.IsZero() {
			own.LastActiveAt = timestamp(use.LastActive)
		}

		if use.Pinned > 0 {
			get(cmp.Or(own.GetReplacement(), use.Revision)).PinnedConversations += use.Pinned
		}
	}

	return byName(used)
}

func byName(used map[string]*contextv1.RevisionUse) []*contextv1.RevisionUse {
	sorted := make([]*contextv1.RevisionUse, 0, len(used))
	for _, use := range used {
		sorted = append(sorted, use)
	}

	slices.SortFunc(sorted, func(a, b *contextv1.RevisionUse) int { return cmp.Compare(a.GetRevision(), b.GetRevision()) })

	return sorted
}
