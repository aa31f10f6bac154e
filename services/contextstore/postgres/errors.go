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
	uniqueViolation        = "23505"
	readOnlyTransaction    = "25006"
	idleInTransaction      = "25P03"
	invalidPassword        = "28P01"
	invalidAuthorization   = "28000"
	noSuchDatabase         = "3D000"
	serializationFailure   = "40001"
	deadlockDetected       = "40P01"
	insufficientPrivilege  = "42501"
	untranslatable         = "22021"
	diskFull               = "53100"
	tooManyConnections     = "53300"
	objectInUse            = "55006"
	lockNotAvailable       = "55P03"
	operatorIntervention   = "57"
	connectionException    = "08"
	requestIDOfAnOther     = "conversations_request_id_key"
	reasonUnavailable      = "STORE_UNAVAILABLE"
	unknownWhetherItCommit = "COMMIT_UNKNOWN"
)

// passing reports whether an error may go away by itself, and nothing was committed.
func passing(err error) bool {
	if fault.Is(err, unknownWhetherItCommit) {
		return false
	}

	switch own := codeOf(err); own {
	case serializationFailure, deadlockDetected, idleInTransaction:
		return true
	case uniqueViolation:
		return constraintOf(err) != requestIDOfAnOther
	default:
		return lost(err)
	}
}

// lost reports whether the connection is gone, or the server is.
func lost(err error) bool {
	code := codeOf(err)

	return strings.HasPrefix(code, operatorIntervention) && code != "57014" || strings.HasPrefix(code, connectionException) ||
		code == "" && broken(err)
}

// broken reports whether a connection failed, or none could be made.
func broken(err error) bool {
	if errors.Is(err, context.DeadlineExceeded) {
		return false
	}

	if _, ok := errors.AsType[net.Error](err); ok {
		return true
	}

	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return true
	}

	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) || pgconn.SafeToRetry(err)
}

// uncertain says of a commit whose answer was lost that nobody knows what became of it.
func uncertain(err error) error {
	if codeOf(err) != "" && !strings.HasPrefix(codeOf(err), operatorIntervention) {
		return err
	}

	return fault.New(codes.Unavailable, unknownWhetherItCommit,
		"the database was lost during a commit, and whether it was made is not known; ask again: %w", err)
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
	case serializationFailure, deadlockDetected, lockNotAvailable, objectInUse, idleInTransaction:
		return fault.New(codes.Unavailable, "STORE_BUSY", "others write the same rows: %w", err)
	case untranslatable:
		return fault.New(codes.InvalidArgument, "INVALID", "a text can't be stored: it must be without zero bytes: %w", err)
	case diskFull:
		return fault.New(codes.ResourceExhausted, "DISK_FULL", "the database can't grow: %w", err)
	case readOnlyTransaction:
		return fault.New(codes.Unavailable, reasonUnavailable,
			"the database takes no writes: it is a standby, or read-only; ask the primary: %w", err)
	case tooManyConnections:
		return unavailable(err)
	}

	if lost(err) || errors.Is(err, context.DeadlineExceeded) {
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
