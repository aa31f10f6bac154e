package retriever

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// bare is a text without a vector.
type bare struct{ digest, document, context, text string }

// bare returns a batch of texts that have no vector of the model, but for those that are skipped.
func (x *index) bare(ctx context.Context, model string, skip map[string]bool) ([]bare, error) {
	rows, err := x.db.QueryContext(ctx, `SELECT digest, document, context, text FROM passages p
		WHERE NOT EXISTS (SELECT 1 FROM vectors v WHERE v.digest = p.digest AND v.model = ?)
		GROUP BY digest ORDER BY min(id) LIMIT ?`, model, batchTexts+len(skip))
	if err != nil {
		return nil, fmt.Errorf("look for passages without vectors: %w", err)
	}
	defer rows.Close() //nolint:errcheck // rows.Err tells

	var (
		batch []bare
		size  int
	)

	for rows.Next() {
		var one bare
		if err := rows.Scan(&one.digest, &one.document, &one.context, &one.text); err != nil {
			return nil, fmt.Errorf("look for passages without vectors: %w", err)
		}

		size += len(one.text)
		if !skip[one.digest] && len(batch) < batchTexts && (len(batch) == 0 || size <= batchBytes) {
			batch = append(batch, one)
		}
	}

	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("look for passages without vectors: %w", err)
	}

	return batch, nil
}

// vector returns that of a text; nil if there is none.
func (x *index) vector(ctx context.Context, digest, model string) ([]float32, error) {
	var data []byte

	err := x.db.QueryRowContext(ctx, "SELECT vector FROM vectors WHERE digest = ? AND model = ?", digest, model).Scan(&data)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}

	if err != nil {
		return nil, fmt.Errorf("read a vector: %w", err)
	}

	return decodeVector(data), nil
}

// withDigest returns the numbers of the passages with a text.
func (x *index) withDigest(ctx context.Context, digest string) ([]int64, error) {
	rows, err := x.db.QueryContext(ctx, "SELECT id FROM passages WHERE digest = ?", digest)
	if err != nil {
		return nil, fmt.Errorf("look for passages: %w", err)
	}
	defer rows.Close() //nolint:errcheck // rows.Err tells

	var ids []int64

	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return nil, fmt.Errorf("look for passages: %w", err)
		}

		ids = append(ids, id)
	}

	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("look for passages: %w", err)
	}

	return ids, nil
}

// load reads all vectors of the model into memory. Those that have another length than most can't be compared with them;
// they are removed, to be made anew.
func (x *index) load(ctx context.Context, model string, into *vectors) error {
	if err := x.unify(ctx, model); err != nil {
		return err
	}

	rows, err := x.db.QueryContext(ctx, `SELECT p.id, v.vector FROM passages p JOIN vectors v ON v.digest = p.digest
		WHERE v.model = ? ORDER BY p.id`, model)
	if err != nil {
		return fmt.Errorf("read vectors: %w", err)
	}
	defer rows.Close() //nolint:errcheck // rows.Err tells

	for rows.Next() {
		var (
			id   int64
			data []byte
		)

		if err := rows.Scan(&id, &data); err != nil {
			return fmt.Errorf("read vectors: %w", err)
		}

		if err := into.put(id, decodeVector(data)); err != nil {
			return err
		}
	}

	if err := rows.Err(); err != nil {
		return fmt.Errorf("read vectors: %w", err)
	}

	return nil
}

// unify removes the model's vectors that have another length than most of them have.
func (x *index) unify(ctx context.Context, model string) error {
	return x.update(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `DELETE FROM vectors WHERE model = ?1 AND length(vector) <>
			(SELECT length(vector) FROM vectors WHERE model = ?1 GROUP BY 1 ORDER BY count(*) DESC, 1 DESC LIMIT 1)`, model); err != nil {
			return fmt.Errorf("remove vectors of another length: %w", err)
		}

		return nil
	})
}

// sweep removes vectors that nothing needs any more: of texts that have gone, and of other models.
func (x *index) sweep(ctx context.Context, model string) error {
	return x.update(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx,
			"DELETE FROM vectors WHERE model <> ? OR digest NOT IN (SELECT digest FROM passages)", model); err != nil {
			return fmt.Errorf("remove vectors: %w", err)
		}

		return nil
	})
}
