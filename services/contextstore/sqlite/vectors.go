package sqlite

import (
	"cmp"
	"database/sql"
	"slices"

	"google.golang.org/grpc/codes"

	"github.com/serinhq/serin/internal/fault"
	"github.com/serinhq/serin/services/contextstore"
	"github.com/serinhq/serin/services/contextstore/relational"
)

const ofKind = "tenant = ? AND user_name = ? AND model = ? AND dimensions = ?"

// addVector puts a memory's vector behind those of its kind. Positions only grow, so that it is the last one.
func (c *conn) addVector(row contextstore.Memory) error {
	kind := []any{row.Tenant, row.User, row.Model, row.Dimensions}

	var (
		first int64
		last  block
	)

	found, err := c.One("SELECT first, block FROM memory_vectors WHERE "+ofKind+" ORDER BY first DESC LIMIT 1", kind, &first, &last)
	if err != nil {
		return err
	}

	if !found || last.full(row.Dimensions) {
		return c.Exec("INSERT INTO memory_vectors (tenant, user_name, model, dimensions, first, block) VALUES (?, ?, ?, ?, ?, ?)",
			append(kind, row.Position, []byte(block(nil).with(row)))...)
	}

	return c.Exec("UPDATE memory_vectors SET block = ? WHERE "+ofKind+" AND first = ?",
		append(append([]any{[]byte(last.with(row))}, kind...), first)...)
}

// dropVectors takes the vectors of memories, which are about to be deleted, out of their blocks.
func (c *conn) dropVectors(where string, args ...any) error {
	rows, err := c.MemoriesWhere("WHERE dimensions > 0 AND "+where+
		" ORDER BY tenant, user_name, embedding_model, dimensions, position", args...)
	for err == nil && len(rows) > 0 {
		rows, err = c.dropFromBlock(rows)
	}

	return err
}

// dropFromBlock takes the first memory's vector out of its block, and those of the ones behind it that are in the same. It
// returns the rest.
func (c *conn) dropFromBlock(rows []contextstore.Memory) ([]contextstore.Memory, error) {
	kind := []any{rows[0].Tenant, rows[0].User, rows[0].Model, rows[0].Dimensions}

	var (
		first int64
		of    block
	)

	if _, err := c.One("SELECT first, block FROM memory_vectors WHERE "+ofKind+" AND first <= ? ORDER BY first DESC LIMIT 1",
		append(kind, rows[0].Position), &first, &of); err != nil {
		return nil, err
	}

	left, dropped := of.without(rows)
	rows = rows[max(dropped, 1):]

	if len(left) == 0 {
		return rows, c.Exec("DELETE FROM memory_vectors WHERE "+ofKind+" AND first = ?", append(kind, first)...)
	}

	return rows, c.Exec("UPDATE memory_vectors SET block = ? WHERE "+ofKind+" AND first = ?",
		append(append([]any{[]byte(left)}, kind...), first)...)
}

// near is a memory's place and its cosine.
type near struct {
	position int64
	cosine   float64
}

func compareNear(a, b near) int {
	return cmp.Or(cmp.Compare(b.cosine, a.cosine), cmp.Compare(b.position, a.position))
}

// MemoriesByVector compares with each of the user's vectors of the kind: there are at most as many as a user may have
// memories.
func (c *conn) MemoriesByVector(
	of contextstore.MemoryScope, model string, vector []float32, floor float64, limit int,
) ([]contextstore.Memory, error) {
	now, best := relational.Nanos(of.Now), nearest{limit: limit, floor: floor}

	err := c.Each("SELECT block FROM memory_vectors WHERE "+ofKind, []any{of.Tenant, of.User, model, len(vector)},
		func(scan relational.Scan) (bool, error) {
			var data sql.RawBytes // not copied: it is looked at before the next row

			err := scan(&data)
			if err == nil && len(data)%entrySize(len(vector)) != 0 {
				err = fault.New(codes.DataLoss, "DATABASE_DAMAGED", "a block of vectors with %d dimensions has %d bytes", len(vector), len(data))
			}

			if err != nil {
				return false, err
			}

			for one := range block(data).entries(len(vector)) {
				if expires := one.expires(); expires == 0 || expires > now {
					best.take(near{one.position(), one.dot(vector)})
				}
			}

			return true, nil
		})
	if err != nil {
		return nil, err
	}

	return c.memoriesAt(best.found)
}

// nearest keeps the best of what it is given.
type nearest struct {
	limit int
	floor float64
	found []near
}

func (n *nearest) take(one near) {
	if one.cosine <= n.floor || len(n.found) == n.limit && compareNear(one, n.found[n.limit-1]) > 0 {
		return
	}

	at, _ := slices.BinarySearchFunc(n.found, one, compareNear)
	n.found = slices.Insert(n.found, at, one)
	n.found = n.found[:min(len(n.found), n.limit)]
}

// memoriesAt reads memories, in the order given.
func (c *conn) memoriesAt(places []near) ([]contextstore.Memory, error) {
	rows := make([]contextstore.Memory, 0, len(places))

	for _, one := range places {
		found, err := c.MemoriesWhere("WHERE position = ?", one.position)
		if err != nil {
			return nil, err
		}

		rows = append(rows, found...)
	}

	return rows, nil
}
