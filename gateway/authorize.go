package gateway

import (
	"net/http"

	"google.golang.org/grpc/codes"

	"github.com/serinhq/serin/internal/fault"
)

// Authorize lets only operators through to a handler that is served beside [Service.Handler], such as one of metrics:
// others are answered 401 or 403. Without Config.Tokens everyone is an operator.
func (s *Service) Authorize(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := s.checkOperator(r); err != nil {
			writeError(w, r, err)

			return
		}

		next.ServeHTTP(w, r)
	})
}

func (s *Service) checkOperator(r *http.Request) error {
	principal, err := s.identify(r.Context(), r.Header.Get("Authorization"))
	if err != nil {
		return err
	}

	if principal.Role != RoleOperator {
		return fault.New(codes.PermissionDenied, "OPERATOR_REQUIRED",
			"%s is for operators; this token's role is %s", r.URL.Path, principal.Role)
	}

	return nil
}
