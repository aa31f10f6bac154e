package contextstore

import (
	"cmp"
	"context"
	"strconv"
	"strings"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	"github.com/serinhq/serin/internal/fault"
)

// memoryTokenPrefix tells page tokens of memories from those of conversations.
const memoryTokenPrefix = "memory/"

// ListMemories returns a page of a user's memories, newest first. A page ends early once it holds about 1 MiB.
func (s *Service) ListMemories(
	ctx context.Context, request *contextv1.ListMemoriesRequest,
) (*contextv1.ListMemoriesResponse, error) {
	before, err := parseMemoryToken(request.GetPageToken())
	if err != nil {
		return nil, err
	}

	person := request.GetPerson()
	if person.GetTenant() == "" || person.GetUser() == "" {
		return nil, fault.Invalid(fault.Violation{Field: "person", Message: "must name a tenant and a user"})
	}

	var (
		size = cmp.Or(int(request.GetPageSize()), 50)
		rows []Memory
	)

	about := About{Tenant: person.GetTenant(), Scope: MemoriesOf(person.GetTenant(), person.GetUser())}

	err = s.store.View(ctx, about, func(reader Reader) error {
		scope := MemoryScope{Tenant: person.GetTenant(), User: person.GetUser(), Now: s.now(reader)}
		rows, err = reader.Memories(scope, before, size+1)

		return err
	})
	if err != nil {
		return nil, err
	}

	return memoryPage(rows, size), nil
}

// memoryPage shows as many rows as fit.
func memoryPage(rows []Memory, size int) *contextv1.ListMemoriesResponse {
	response, filled := &contextv1.ListMemoriesResponse{}, 0

	for i, row := range rows {
		if i == size || filled > pageBytes {
			response.NextPageToken = pageToken(memoryTokenPrefix + strconv.FormatInt(rows[i-1].Position, 10))

			break
		}

		filled += len(row.Text)
		response.Memories = append(response.Memories, row.show())
	}

	return response
}

// parseMemoryToken returns the position that a token names; 0 for the empty token.
func parseMemoryToken(token string) (int64, error) {
	last, err := parsePageToken(token)
	if err != nil || last == "" {
		return 0, err
	}

	number, ours := strings.CutPrefix(last, memoryTokenPrefix)
	if position, err := strconv.ParseInt(number, 10, 64); err == nil && ours && position > 0 {
		return position, nil
	}

	return 0, fault.Invalid(fault.Violation{
		Field: "page_token", Message: "must be the next_page_token of the page before, as it was given",
	})
}
