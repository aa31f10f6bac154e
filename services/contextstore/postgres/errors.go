package postgres

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"google.golang.org/grpc/codes"

	"github.com/serinhq/serin/internal/fault"
)

// PostgreSQL's codes, from https://www.postgresql.org/docs/current/errcodes-appendix.html.
const (
	uniqueViolation       = "23505"
	readOnlyTransaction   = "25006"
	idleInTransaction     = "25P03"
	invalidPassword       = "28P01"
	invalidAuthorization  = "28000"
	noSuchDatabase        = "3D000"
	serializationFailure  = "40001"
	deadlockDetected      = "40P01"
	insufficientPrivilege = "42501"
	featureNotSupported   = "0A000"
	noSuchFile            = "58P01"
	untranslatable        = "22021"
	diskFull              = "53100"
	tooManyConnections    = "53300"
	objectInUse           = "55006"
	lockNotAvailable      = "55P03"
	operatorIntervention  = "57"
	queryCanceled         = "57014"
	databaseDropped       = "57P04"
	connectionException   = "08"
	requestIDOfAnOther    = "conversations_request_id_key"
	reasonUnavailable     = "STORE_UNAVAILABLE"
	reasonCommitUnknown   = "COMMIT_UNKNOWN"
)

// passing reports whether others are in the way of a transaction, of which nothing was committed.
func passing(err error) bool {
	switch own := codeOf(err); own {
	case serializationFailure, deadlockDetected:
		return true
	case uniqueViolation:
		return constraintOf(err) != requestIDOfAnOther
	default:
		return false
	}
}

// away reports whether the server is gone, or takes no connections for now, or ended this one: it is worth coming again.
func away(err error) bool {
	switch code := codeOf(err); code {
	case "":
		return broken(err)
	case queryCanceled, databaseDropped:
		return false
	case tooManyConnections, idleInTransaction:
		return true
	default:
		return strings.HasPrefix(code, operatorIntervention) || strings.HasPrefix(code, connectionException)
	}
}

// lost reports whether the connections that there are may be no good any more: not where only none is to be had beside them.
func lost(err error) bool {
	code := codeOf(err)

	return away(err) && code != tooManyConnections && code != idleInTransaction
}

// broken reports whether a connection failed, or none could be made.
func broken(err error) bool {
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return true
	}

	if errors.Is(err, context.DeadlineExceeded) {
		return false
	}

	if _, ok := errors.AsType[net.Error](err); ok {
		return true
	}

	for _, gone := range []error{io.EOF, io.ErrUnexpectedEOF, net.ErrClosed, pgconn.ErrConnClosed} {
		if errors.Is(err, gone) {
			return true
		}
	}

	return pgconn.SafeToRetry(err)
}

// uncertain reports whether a commit that failed in this way may have been made.
func uncertain(err error) bool {
	own, answered := errors.AsType[*pgconn.PgError](err)
	if !answered {
		return !pgconn.SafeToRetry(err)
	}

	// A session, or a server, that ends while it commits may have written the commit before.
	return own.SeverityUnlocalized == "FATAL" || own.SeverityUnlocalized == "PANIC" ||
		strings.HasPrefix(own.Code, operatorIntervention) || strings.HasPrefix(own.Code, connectionException)
}

// doubt is the error of a commit that may have been made.
type doubt struct {
	mark *marker
	why  error
}

func (d *doubt) Error() string { return "it may have been committed: " + d.why.Error() }

func (d *doubt) Unwrap() error { return d.why }

// unknown says of a commit that nobody knows what became of it.
func unknown(err error) error {
	return fault.New(codes.Unavailable, reasonCommitUnknown,
		"the database was lost during a commit, and whether it was made is not known; look before asking again: %w", err)
}

// unavailable is for a database that can't be reached now.
func unavailable(err error) error {
	if codeOf(err) == tooManyConnections {
		return fault.New(codes.Unavailable, reasonUnavailable, "the database has no connection to spare: %w", err)
	}

	return fault.New(codes.Unavailable, reasonUnavailable, "the database can't be reached: %w", err)
}

// failed turns an error of the database into a fault.
func failed(err error) error {
	if known, ok := errors.AsType[*fault.Error](err); ok {
		return known
	}

	switch codeOf(err) {
	case uniqueViolation:
		if constraintOf(err) == requestIDOfAnOther {
			return fault.New(codes.AlreadyExists, "REQUEST_ID_REUSED",
				"request_id: it was used for another request; choose a new one")
		}

		return fault.New(codes.Unavailable, "STORE_BUSY", "others write the same rows: %w", err)
	case serializationFailure, deadlockDetected, lockNotAvailable, objectInUse:
		return fault.New(codes.Unavailable, "STORE_BUSY", "others write the same rows: %w", err)
	case untranslatable:
		return fault.New(codes.InvalidArgument, "INVALID", "a text can't be stored: it must be without zero bytes: %w", err)
	case diskFull:
		return fault.New(codes.ResourceExhausted, "DISK_FULL", "the database can't grow: %w", err)
	case readOnlyTransaction:
		return fault.New(codes.Unavailable, reasonUnavailable,
			"the database takes no writes: it is a standby, or read-only; ask the primary: %w", err)
	}

	if away(err) || timedOut(err) {
		return unavailable(err)
	}

	return fault.New(codes.Internal, "STORE_FAILED", "the database failed: %w", err)
}

// codeOf returns PostgreSQL's code, or nothing.
func codeOf(err error) string {
	if own, ok := errors.AsType[*pgconn.PgError](err); ok {
		return own.Code
	}

	return ""
}

func constraintOf(err error) string {
	if own, ok := errors.AsType[*pgconn.PgError](err); ok {
		return own.ConstraintName
	}

	return ""
}

func asFault(err error) (*fault.Error, bool) { return errors.AsType[*fault.Error](err) }

func timedOut(err error) bool { return errors.Is(err, context.DeadlineExceeded) }

// oneLine writes an error of several lines in one.
func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }
