package gateway

import (
	"context"
	"strings"

	"google.golang.org/grpc/codes"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	"github.com/serinhq/serin/internal/fault"
)

// Role says what a caller may do beyond talking.
type Role string

const (
	// RoleUser sees its own conversations.
	RoleUser Role = "user"
	// RoleOperator sees all conversations of its tenant.
	RoleOperator Role = "operator"
)

// Principal is who calls.
type Principal struct {
	Tenant string
	User   string
	Role   Role
}

// localPrincipal is everyone, where no tokens are asked for.
func localPrincipal() Principal {
	return Principal{Tenant: "default", User: "local", Role: RoleOperator}
}

func (p Principal) maySee(conversation *contextv1.Conversation) bool {
	if conversation.GetTenant() != p.Tenant {
		return false
	}

	return p.Role == RoleOperator || conversation.GetUser() == p.User
}

// identify finds out who calls from the value of an Authorization header or metadata entry, and whether it calls too often.
func (s *Service) identify(ctx context.Context, authorization string) (Principal, error) {
	if s.cfg.Tokens == nil {
		return localPrincipal(), nil
	}

	if authorization == "" {
		return Principal{}, fault.New(codes.Unauthenticated, "TOKEN_MISSING",
			"authorization: this gateway asks for a token: send `Authorization: Bearer <token>`")
	}

	scheme, token, found := strings.Cut(authorization, " ")
	if !found || !strings.EqualFold(scheme, "Bearer") {
		return Principal{}, fault.New(codes.Unauthenticated, "TOKEN_INVALID",
			"authorization: must be `Bearer <token>`")
	}

	token = strings.TrimSpace(token)

	principal, ok := s.cfg.Tokens.Authenticate(token)
	if !ok {
		return Principal{}, fault.New(codes.Unauthenticated, "TOKEN_INVALID", "authorization: this token is not known here")
	}

	return principal, s.perToken.takeToken(ctx, token)
}

// call is what is known about the request being served.
type call struct {
	requestID string
	route     string
	// principal is set once the caller is known.
	principal *Principal
}

type callKey struct{}

func withCall(ctx context.Context, c *call) context.Context {
	return context.WithValue(ctx, callKey{}, c)
}

// callOf returns the request being served; never nil.
func callOf(ctx context.Context) *call {
	if c, ok := ctx.Value(callKey{}).(*call); ok {
		return c
	}

	return &call{}
}

// isReserved reports whether a header or metadata key steers Serin itself, which users may not.
func isReserved(key string) bool {
	if rest, found := cutPrefixFold(key, "grpc-metadata-"); found {
		key = rest
	}

	_, own := cutPrefixFold(key, "serin-")
	_, extended := cutPrefixFold(key, "x-serin-")

	return own || extended
}

func cutPrefixFold(key, prefix string) (rest string, found bool) {
	if len(key) < len(prefix) || !strings.EqualFold(key[:len(prefix)], prefix) {
		return key, false
	}

	return key[len(prefix):], true
}
