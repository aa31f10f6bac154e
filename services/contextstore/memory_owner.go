package contextstore

import (
	"context"

	"google.golang.org/grpc/codes"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	"github.com/serinhq/serin/internal/fault"
)

// ownership is how a request says whose memories it is about.
type ownership interface {
	GetLease() *contextv1.LeaseRef
	GetPerson() *contextv1.Person
}

// owner is whose memories a request is about: a person whom the gateway names, or the user of the turn that an agent
// executes.
type owner struct {
	by    writer
	lease *contextv1.LeaseRef
	// tenant and user are known from the beginning where a person is named.
	tenant, user string
}

// ownerOf checks who may say what. Errors: UNAUTHENTICATED (NO_PEER); PERMISSION_DENIED (PERSON_NOT_ALLOWED);
// INVALID_ARGUMENT.
func ownerOf(ctx context.Context, request ownership) (owner, error) {
	by, err := writerOf(ctx)
	if err != nil {
		return owner{}, err
	}

	person := request.GetPerson()

	switch {
	case person != nil && by.role != roleGateway:
		return owner{}, fault.New(codes.PermissionDenied, "PERSON_NOT_ALLOWED",
			"person: %s can't speak for a user; it must show the lease of the turn that it executes", by)
	case person != nil && (person.GetTenant() == "" || person.GetUser() == ""):
		return owner{}, fault.Invalid(fault.Violation{Field: "person", Message: "must name a tenant and a user"})
	case person == nil && by.role == roleGateway:
		return owner{}, fault.Invalid(fault.Violation{Field: "person", Message: "must name the user: the gateway executes no turn"})
	case person == nil && request.GetLease() == nil:
		return owner{}, fault.Invalid(fault.Violation{Field: "lease", Message: "must be that of the turn that the agent executes"})
	}

	return owner{by: by, lease: request.GetLease(), tenant: person.GetTenant(), user: person.GetUser()}, nil
}

// about is about reading the owner's memories.
func (o owner) about() About {
	if o.lease != nil {
		return aboutTurn(o.lease.GetTurnId())
	}

	return About{Tenant: o.tenant, Scope: MemoriesOf(o.tenant, o.user)}
}

// of returns the owner, and the turn if there is one. Errors: as [leaseHolder]'s.
func (o owner) of(reader Reader) (MemoryScope, Turn, error) {
	if o.lease == nil {
		return MemoryScope{Tenant: o.tenant, User: o.user}, Turn{}, nil
	}

	turn, err := leaseHolder(reader, o.by, o.lease)
	if err != nil {
		return MemoryScope{}, Turn{}, err
	}

	return MemoryScope{Tenant: turn.GetTenant(), User: turn.GetUser()}, turn, nil
}

// updateMemories runs a transaction that writes what is remembered of an owner. Whose a turn is never changes, so that it
// can be asked for before; that the lease is held still is checked within.
func (s *Service) updateMemories(ctx context.Context, of owner, run func(Tx, MemoryScope, Turn) error) error {
	about := of.about()

	if of.lease != nil {
		if err := s.store.View(ctx, about, func(reader Reader) error {
			scope, _, err := of.of(reader)
			about.Tenant, about.Scope = scope.Tenant, MemoriesOf(scope.Tenant, scope.User)

			return err
		}); err != nil {
			return err
		}
	}

	return s.store.Update(ctx, about, func(tx Tx) error {
		scope, turn, err := of.of(tx)
		if err != nil {
			return err
		}

		scope.Now = s.now(tx)

		return run(tx, scope, turn)
	})
}
