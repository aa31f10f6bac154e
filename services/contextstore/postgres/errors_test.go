package postgres

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"google.golang.org/grpc/codes"

	"github.com/serinhq/serin/internal/fault"
)

// Whatever a connection is lost by, callers are told that they may come again.
func TestLostConnectionsAreUnavailable(t *testing.T) {
	for _, lost := range []error{
		io.ErrUnexpectedEOF,
		fmt.Errorf("read the answer: %w", pgconn.ErrConnClosed), // pgconn's own when it ended while an answer was read
		&pgconn.PgError{Code: "57P01"},
		&pgconn.PgError{Code: tooManyConnections},
	} {
		if !away(lost) || fault.CodeOf(failed(lost)) != codes.Unavailable {
			t.Errorf("%v: away %v, told as %v", lost, away(lost), failed(lost))
		}
	}

	if other := errors.New("a row can't be read"); away(other) || fault.CodeOf(failed(other)) != codes.Internal {
		t.Errorf("%v: away %v, told as %v", other, away(other), failed(other))
	}
}
