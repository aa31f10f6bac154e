package relational

import (
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"github.com/serinhq/serin/internal/fault"
)

// DB runs statements of one transaction. A parameter is written as a question mark.
type DB interface {
	// Exec runs a statement that returns no rows. It may run later than the call, but before whatever comes next.
	Exec(query string, args ...any) error
	// One reads at most one row; found says whether there was one.
	One(query string, args []any, into ...any) (found bool, err error)
	// Each reads rows until there are no more or read says that it is enough.
	Each(query string, args []any, read func(scan Scan) (more bool, err error)) error
}

// Scan copies a row's columns.
type Scan = func(into ...any) error

// Rows reads and writes the rows of a context store: all of [contextstore.Tx] but the clock.
type Rows struct{ db DB }

// New makes rows of what a database has.
func New(db DB) Rows { return Rows{db: db} }

// Marshal returns a message as it is stored.
func Marshal(message proto.Message) ([]byte, error) {
	data, err := proto.Marshal(message)
	if err != nil {
		return nil, fault.New(codes.InvalidArgument, "INVALID", "the message can't be stored: %w", err)
	}

	return data, nil
}

// Unmarshal reads a stored message. Fields of newer releases are kept as they are.
func Unmarshal(data []byte, into proto.Message) error {
	if err := proto.Unmarshal(data, into); err != nil {
		return fault.New(codes.DataLoss, "DATABASE_DAMAGED", "a stored message can't be read: %w", err)
	}

	return nil
}
