package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/serinhq/serin/services/contextstore/relational"
)

// session is one transaction on one connection. What is written waits until something must be read, or for the commit,
// and then goes out in one round trip with it; what will be read in any case is fetched together with the beginning.
type session struct {
	ctx  context.Context
	conn *pgx.Conn

	queue []statement
	// ahead are answers that were fetched before they were asked for. They hold until something is written.
	ahead map[string]*answer
	// broken is the first error of the database. Nothing may be done after one.
	broken error
	// tenants is who the transaction acts for.
	tenants tenants
	// clock is the database's time when the transaction had its locks, and since is when it was read.
	clock, since time.Time
	// stamp is the xmin of the rows that it writes, outside of savepoints, if that was asked for.
	stamp string
	// savepoint is where in the queue a savepoint goes once it is flushed; negative if none does.
	savepoint int
	saved     bool
	// written counts the statements of the transaction that runs.
	written int
	// blind says that nothing can be read: there is no connection.
	blind bool
}

var _ relational.DB = (*session)(nil)

// statement is one with question marks for its parameters.
type statement struct {
	query string
	args  []any
}

// answer is what a query returned, as it came.
type answer struct {
	types  *pgtype.Map
	fields []pgconn.FieldDescription
	rows   [][][]byte
}

func newSession(ctx context.Context, conn *pgx.Conn) *session {
	return &session{ctx: ctx, conn: conn, savepoint: -1}
}

// Exec queues a statement.
func (s *session) Exec(query string, args ...any) error {
	if s.broken != nil {
		return s.broken
	}

	s.ahead = nil
	s.written++
	s.queue = append(s.queue, statement{query, args})

	return nil
}

// One reads at most one row.
func (s *session) One(query string, args []any, into ...any) (found bool, err error) {
	err = s.Each(query, args, func(scan relational.Scan) (bool, error) {
		found = true

		return false, scan(into...)
	})

	return found, err
}

// Each reads rows.
func (s *session) Each(query string, args []any, read func(scan relational.Scan) (bool, error)) error {
	if s.broken != nil {
		return s.broken
	}

	if s.blind {
		return s.noted(errUnknown)
	}

	if known := s.ahead[keyOf(query, args)]; known != nil {
		return s.noted(known.each(read))
	}

	return s.noted(s.send(func(results pgx.BatchResults) error {
		rows, err := results.Query()
		if err != nil {
			return err //nolint:wrapcheck // see failed
		}
		defer rows.Close()

		for rows.Next() {
			if more, err := read(rows.Scan); err != nil || !more {
				return err
			}
		}

		return rows.Err()
	}, statement{query, args}))
}

// flush sends what waits.
func (s *session) flush() error {
	if s.broken != nil || len(s.queue) == 0 {
		return s.broken
	}

	return s.noted(s.send(func(pgx.BatchResults) error { return nil }))
}

// fetch reads ahead, together with whatever waits.
func (s *session) fetch(queries []statement) (map[string]*answer, error) {
	answers := make(map[string]*answer, len(queries))

	return answers, s.noted(s.send(func(results pgx.BatchResults) error {
		for _, query := range queries {
			read, err := s.collect(results)
			if err != nil {
				return err
			}

			answers[keyOf(query.query, query.args)] = read
		}

		return nil
	}, queries...))
}

// send sends what waits and then the queries, whose results are read by a function.
func (s *session) send(read func(pgx.BatchResults) error, queries ...statement) (err error) {
	waiting := s.queue
	if s.savepoint >= 0 {
		waiting = slices.Insert(waiting, s.savepoint, statement{query: "SAVEPOINT one"})
		s.savepoint, s.saved = -1, true
	}

	s.queue = s.queue[:0:0]
	batch := &pgx.Batch{}

	for _, one := range waiting {
		batch.Queue(numbered(one.query), one.args...)
	}

	for _, one := range queries {
		batch.Queue(numbered(one.query), one.args...)
	}

	results := s.conn.SendBatch(s.ctx, batch)
	defer func() {
		if closed := results.Close(); err == nil { // or else it says the same again
			err = closed
		}
	}()

	for _, one := range waiting {
		if err := s.executed(results, one); err != nil {
			return err
		}
	}

	return read(results)
}

// executed reads what a queued statement came to.
func (s *session) executed(results pgx.BatchResults, one statement) error {
	var err error

	switch one.query {
	case actAs:
		err = results.QueryRow().Scan(nil, nil, &s.clock)
		s.since = time.Now()
	case actAndStamp:
		err = results.QueryRow().Scan(nil, nil, &s.clock, &s.stamp)
		s.since = time.Now()
	default:
		_, err = results.Exec()
	}

	return err //nolint:wrapcheck // see failed
}

// noted remembers an error of the database or of a row that can't be read.
func (s *session) noted(err error) error {
	if err != nil && s.broken == nil {
		s.broken = err
	}

	return err
}

func (s *session) collect(results pgx.BatchResults) (*answer, error) {
	rows, err := results.Query()
	if err != nil {
		return nil, err //nolint:wrapcheck // see failed
	}
	defer rows.Close()

	read := &answer{types: s.conn.TypeMap(), fields: slices.Clone(rows.FieldDescriptions())}

	for rows.Next() {
		row := make([][]byte, 0, len(read.fields))
		for _, value := range rows.RawValues() {
			row = append(row, slices.Clone(value))
		}

		read.rows = append(read.rows, row)
	}

	return read, rows.Err()
}

func (a *answer) each(read func(scan relational.Scan) (bool, error)) error {
	for _, row := range a.rows {
		more, err := read(func(into ...any) error { return pgx.ScanRow(a.types, a.fields, row, into...) })
		if err != nil || !more {
			return err
		}
	}

	return nil
}

// recorder notes the queries that would be made, and answers that there is nothing.
type recorder struct{ queries []statement }

func (r *recorder) Exec(string, ...any) error { return errors.New("nothing is written ahead") }

func (r *recorder) One(query string, args []any, _ ...any) (bool, error) {
	r.queries = append(r.queries, statement{query, args})

	return false, nil
}

func (r *recorder) Each(query string, args []any, _ func(relational.Scan) (bool, error)) error {
	r.queries = append(r.queries, statement{query, args})

	return nil
}

func keyOf(query string, args []any) string { return query + fmt.Sprintf("%q", args) }

// texts are queries as PostgreSQL wants them, by those with question marks. There are as many as the code has.
var texts sync.Map

// numbered replaces question marks by $1, $2, and so on.
func numbered(query string) string {
	if known, found := texts.Load(query); found {
		return known.(string) //nolint:forcetypeassert // only strings are stored
	}

	var text strings.Builder

	for i, part := range strings.Split(query, "?") {
		if i > 0 {
			text.WriteString("$" + strconv.Itoa(i))
		}

		text.WriteString(part)
	}

	texts.Store(query, text.String())

	return text.String()
}
