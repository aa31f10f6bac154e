package retriever

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// document is what the index has of one.
type document struct {
	name, title, digest string
	bytes               int64
	validator           string
	indexedAt           time.Time
	// passages is how many it has, text how many bytes those have.
	passages int
	text     int64
}

// kept is a passage with its number and what its vector is of.
type kept struct {
	id     int64
	digest string
}

// documents returns all.
func (x *index) documents(ctx context.Context) (map[string]document, error) {
	rows, err := x.db.QueryContext(ctx, `SELECT d.name, d.title, d.digest, d.bytes, d.validator, d.indexed_at,
		count(p.id), coalesce(sum(length(CAST(p.text AS BLOB))), 0)
		FROM documents d LEFT JOIN passages p ON p.document = d.name GROUP BY d.name`)
	if err != nil {
		return nil, fmt.Errorf("read documents: %w", err)
	}
	defer rows.Close() //nolint:errcheck // rows.Err tells

	all := map[string]document{}

	for rows.Next() {
		var (
			one document
			at  int64
		)

		if err := rows.Scan(&one.name, &one.title, &one.digest, &one.bytes, &one.validator, &at, &one.passages, &one.text); err != nil {
			return nil, fmt.Errorf("read documents: %w", err)
		}

		one.indexedAt = time.Unix(0, at)
		all[one.name] = one
	}

	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read documents: %w", err)
	}

	return all, nil
}

// put takes a document in the place of what there was of it, and returns the numbers of what came and went.
func (x *index) put(ctx context.Context, one document, passages []passage) (came []kept, went []int64, err error) {
	err = x.update(ctx, func(tx *sql.Tx) error {
		came = came[:0]

		if went, err = remove(ctx, tx, one.name); err != nil {
			return err
		}

		if _, err := tx.ExecContext(ctx, "INSERT INTO documents (name, title, digest, bytes, validator, indexed_at) VALUES (?, ?, ?, ?, ?, ?)",
			one.name, one.title, one.digest, one.bytes, one.validator, one.indexedAt.UnixNano()); err != nil {
			return fmt.Errorf("write the document: %w", err)
		}

		for _, passage := range passages {
			added, err := add(ctx, tx, one, passage)
			if err != nil {
				return err
			}

			came = append(came, added)
		}

		return nil
	})

	return came, went, err
}

func add(ctx context.Context, tx *sql.Tx, of document, passage passage) (kept, error) {
	headings, err := json.Marshal(append([]string{}, passage.headings...))
	if err != nil {
		return kept{}, fmt.Errorf("write a passage: %w", err)
	}

	about := passage.context(of.title)
	made := kept{digest: digestOf(about, passage.text)}

	result, err := tx.ExecContext(ctx,
		"INSERT INTO passages (document, start, stop, headings, context, text, digest) VALUES (?, ?, ?, ?, ?, ?, ?)",
		of.name, passage.start, passage.end, string(headings), about, passage.text, made.digest)
	if err == nil {
		made.id, err = result.LastInsertId()
	}

	if err != nil {
		return kept{}, fmt.Errorf("write a passage: %w", err)
	}

	return made, nil
}

// delete forgets a document and returns the numbers of its passages.
func (x *index) delete(ctx context.Context, name string) (went []int64, err error) {
	err = x.update(ctx, func(tx *sql.Tx) error {
		went, err = remove(ctx, tx, name)

		return err
	})

	return went, err
}

func remove(ctx context.Context, tx *sql.Tx, name string) ([]int64, error) {
	rows, err := tx.QueryContext(ctx, "DELETE FROM passages WHERE document = ? RETURNING id", name)
	if err != nil {
		return nil, fmt.Errorf("remove passages: %w", err)
	}
	defer rows.Close() //nolint:errcheck // rows.Err tells

	var went []int64

	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return nil, fmt.Errorf("remove passages: %w", err)
		}

		went = append(went, id)
	}

	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("remove passages: %w", err)
	}

	if _, err := tx.ExecContext(ctx, "DELETE FROM documents WHERE name = ?", name); err != nil {
		return nil, fmt.Errorf("remove the document: %w", err)
	}

	return went, nil
}

// validate notes what a page said of its version, where its content is what it was.
func (x *index) validate(ctx context.Context, name, validator string) error {
	return x.update(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, "UPDATE documents SET validator = ? WHERE name = ?", validator, name); err != nil {
			return fmt.Errorf("write the document: %w", err)
		}

		return nil
	})
}

// row is a passage as it is answered.
type row struct {
	document, title string
	headings        []string
	start, end      int64
	text            string
}

// passage reads one; false if it has gone.
func (x *index) passage(ctx context.Context, id int64) (row, bool, error) {
	var (
		found    row
		headings string
	)

	err := x.db.QueryRowContext(ctx, `SELECT p.document, d.title, p.headings, p.start, p.stop, p.text
		FROM passages p JOIN documents d ON d.name = p.document WHERE p.id = ?`, id).
		Scan(&found.document, &found.title, &headings, &found.start, &found.end, &found.text)
	if err == nil {
		err = json.Unmarshal([]byte(headings), &found.headings)
	}

	switch {
	case err == nil:
		return found, true, nil
	case errors.Is(err, sql.ErrNoRows):
		return row{}, false, nil
	default:
		return row{}, false, fmt.Errorf("read a passage: %w", err)
	}
}
