package contextstore

import (
	"context"
	"fmt"

	"google.golang.org/grpc/codes"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	"github.com/serinhq/serin/internal/fault"
)

// DeleteMemories forgets memories of the owner's for good.
func (s *Service) DeleteMemories(
	ctx context.Context, request *contextv1.DeleteMemoriesRequest,
) (*contextv1.DeleteMemoriesResponse, error) {
	of, err := ownerOf(ctx, request)
	if err != nil {
		return nil, err
	}

	if err := of.mayDelete(request); err != nil {
		return nil, err
	}

	response := &contextv1.DeleteMemoriesResponse{}

	err = s.updateMemories(ctx, of, func(tx Tx, scope MemoryScope, _ Turn) error {
		if response.Deleted, err = doomed(tx, scope, request.GetMemoryIds()); err != nil {
			return err
		}

		if err := tx.DeleteMemories(scope.Tenant, scope.User, request.GetMemoryIds()); err != nil {
			return err
		}

		return tx.ForgetMemories(scope.Tenant, scope.Now, forgetsMemories)
	})
	if err != nil {
		return nil, err
	}

	return response, nil
}

// mayDelete checks what is to be deleted. Errors: PERMISSION_DENIED (ALL_NOT_ALLOWED); INVALID_ARGUMENT.
func (o owner) mayDelete(request *contextv1.DeleteMemoriesRequest) error {
	named := len(request.GetMemoryIds())

	switch {
	case request.GetAll() && o.by.role != roleGateway:
		return fault.New(codes.PermissionDenied, "ALL_NOT_ALLOWED",
			"all: %s can't delete all that is known about a user; name memory_ids", o.by)
	case request.GetAll() && named > 0:
		return fault.Invalid(fault.Violation{Field: "memory_ids", Message: "must be empty if all are deleted"})
	case !request.GetAll() && named == 0:
		return fault.Invalid(fault.Violation{Field: "memory_ids", Message: "must name what to delete, or all must be set"})
	case named > MaxNamed:
		return fault.Invalid(fault.Violation{
			Field: "memory_ids", Message: fmt.Sprintf("has %d items: must have at most %d", named, MaxNamed),
		})
	default:
		return nil
	}
}

// doomed returns how many memories a deletion will be of.
func doomed(reader Reader, scope MemoryScope, memoryIDs []string) (int64, error) {
	if len(memoryIDs) == 0 {
		count, err := reader.CountMemories(scope)

		return int64(count), err
	}

	found, err := reader.MemoriesNamed(scope, memoryIDs)

	return int64(len(found)), err
}
