package contextstore

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
)

// SearchMemories returns the owner's memories that fit a text.
func (s *Service) SearchMemories(
	ctx context.Context, request *contextv1.SearchMemoriesRequest,
) (*contextv1.SearchMemoriesResponse, error) {
	of, err := ownerOf(ctx, request)
	if err != nil {
		return nil, err
	}

	asked := search{
		terms: termsOf(request.GetQuery()), model: request.GetEmbedding().GetModel(),
		limit: min(cmp.Or(int(request.GetLimit()), 5), candidates),
	}
	if asked.vector, err = unit(request.GetEmbedding()); err != nil {
		return nil, err
	}

	var response *contextv1.SearchMemoriesResponse

	err = s.store.View(ctx, of.about(), func(reader Reader) error {
		scope, _, err := of.of(reader)
		if err != nil {
			return err
		}

		scope.Now = s.now(reader)
		response, err = asked.run(reader, scope)

		return err
	})
	if err != nil {
		return nil, err
	}

	return response, nil
}

// search is what is looked for.
type search struct {
	terms  []string
	model  string
	vector []float32
	limit  int
}

// run asks both rankings and joins them.
func (s search) run(reader Reader, scope MemoryScope) (*contextv1.SearchMemoriesResponse, error) {
	var (
		byWords []Memory
		err     error
	)

	if len(s.terms) > 0 {
		if byWords, err = reader.MemoriesByWords(scope, s.terms, candidates); err != nil {
			return nil, err
		}
	}

	response := &contextv1.SearchMemoriesResponse{Ranking: contextv1.Ranking_RANKING_TEXT}

	var byVector []Memory

	if s.vector != nil {
		if byVector, response.Problem, err = s.byVector(reader, scope); err != nil {
			return nil, err
		}

		if response.GetProblem() == "" {
			response.Ranking = contextv1.Ranking_RANKING_HYBRID
		}
	}

	for _, one := range fuse(byWords, byVector, s.limit) {
		response.Memories = append(response.Memories, &contextv1.FoundMemory{
			Memory: one.show(), Score: one.score,
			TextRank: int32(one.text), VectorRank: int32(one.vector), //nolint:gosec // at most the number of candidates
		})
	}

	return response, nil
}

// byVector ranks by vectors, or says why they don't count.
func (s search) byVector(reader Reader, scope MemoryScope) (found []Memory, problem string, err error) {
	if problem, err = reader.VectorProblem(); err != nil || problem != "" {
		return nil, problem, err
	}

	found, err = reader.MemoriesByVector(scope, s.model, s.vector, vectorFloor, candidates)
	if err != nil || len(found) > 0 {
		return found, "", err
	}

	kinds, err := reader.VectorKinds(scope)
	if err != nil {
		return nil, "", err
	}

	return nil, s.incomparable(kinds), nil
}

// incomparable says that there are vectors, and none that the query's can be compared with; else nothing.
func (s search) incomparable(kinds []VectorKind) string {
	asked := VectorKind{s.model, len(s.vector)}
	if len(kinds) == 0 || slices.Contains(kinds, asked) {
		return ""
	}

	names := make([]string, 0, len(kinds))
	for _, kind := range kinds {
		names = append(names, kind.String())
	}

	return fmt.Sprintf("the query's vector is of %s, those of the memories are of %s", asked, strings.Join(names, ", "))
}

// String names the model and the number of dimensions.
func (k VectorKind) String() string { return fmt.Sprintf("%s (%d dimensions)", k.Model, k.Dimensions) }
