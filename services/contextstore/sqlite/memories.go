package sqlite

import (
	"cmp"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"encoding/hex"
	"math"
	"slices"
	"strings"

	"google.golang.org/grpc/codes"

	"github.com/serinhq/serin/internal/fault"
	"github.com/serinhq/serin/services/contextstore"
	"github.com/serinhq/serin/services/contextstore/relational"
)

// VectorProblem is none: vectors are compared here.
func (c *conn) VectorProblem() (string, error) { return "", nil }

// InsertMemory adds a memory, its words and its vector.
func (c *conn) InsertMemory(row contextstore.Memory) error {
	if err := c.Exec(relational.InsertMemory+") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
		relational.MemoryValues(row)...); err != nil {
		return err
	}

	if err := c.Exec(`INSERT INTO memory_words (rowid, owner, words)
		SELECT position, ?, ? FROM memories WHERE tenant = ? AND memory_id = ?`,
		ownerOf(row.Tenant, row.User), row.Words, row.Tenant, row.ID); err != nil || row.Vector == nil {
		return err
	}

	return c.Exec(`INSERT INTO memory_vectors (position, tenant, user_name, model, dimensions, expires_at, vector)
		SELECT position, tenant, user_name, embedding_model, dimensions, expires_at, ? FROM memories
		WHERE tenant = ? AND memory_id = ?`, encodeVector(row.Vector), row.Tenant, row.ID)
}

// ownerOf is one word that stands for a user.
func ownerOf(tenant, user string) string {
	sum := sha256.Sum256([]byte(tenant + "\x00" + user))

	return "u" + hex.EncodeToString(sum[:16])
}

// MemoriesByWords ranks by BM25. How telling a word is, it takes from what all users' memories have of it.
func (c *conn) MemoriesByWords(of contextstore.MemoryScope, words []string, limit int) ([]contextstore.Memory, error) {
	// What stands in quotation marks is no syntax, and words have none.
	query := `owner : "` + ownerOf(of.Tenant, of.User) + `" AND words : ("` + strings.Join(words, `" OR "`) + `")`

	return c.MemoriesWhere(`JOIN (SELECT rowid AS found, bm25(memory_words, 0.0, 1.0) AS score FROM memory_words
		WHERE memory_words MATCH ?) ON found = position WHERE `+relational.OfScope+` ORDER BY score, position DESC LIMIT ?`,
		append([]any{query}, relational.ScopeValues(of, limit)...)...)
}

// near is a memory's place and its cosine.
type near struct {
	position int64
	cosine   float64
}

// MemoriesByVector compares with each of the user's vectors of the kind: there are at most as many as a user may have
// memories.
func (c *conn) MemoriesByVector(
	of contextstore.MemoryScope, model string, vector []float32, floor float64, limit int,
) ([]contextstore.Memory, error) {
	nearest := make([]near, 0, limit+1)

	err := c.Each("SELECT position, vector FROM memory_vectors WHERE "+relational.OfScope+" AND model = ? AND dimensions = ?",
		relational.ScopeValues(of, model, len(vector)), func(scan relational.Scan) (bool, error) {
			var (
				one  near
				data sql.RawBytes // not copied: it is read before the next row
			)

			if err := scan(&one.position, &data); err != nil {
				return false, err
			}

			if len(data) != 4*len(vector) {
				return false, fault.New(codes.DataLoss, "DATABASE_DAMAGED", "the vector of memory %d has %d bytes", one.position, len(data))
			}

			one.cosine = dot(vector, data)
			if one.cosine > floor && (len(nearest) < limit || compareNear(one, nearest[limit-1]) < 0) {
				at, _ := slices.BinarySearchFunc(nearest, one, compareNear)
				nearest = slices.Insert(nearest, at, one)
				nearest = nearest[:min(len(nearest), limit)]
			}

			return true, nil
		})
	if err != nil || len(nearest) == 0 {
		return nil, err
	}

	return c.memoriesAt(nearest)
}

func compareNear(a, b near) int {
	return cmp.Or(cmp.Compare(b.cosine, a.cosine), cmp.Compare(b.position, a.position))
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

func encodeVector(vector []float32) []byte {
	data := make([]byte, 0, 4*len(vector))
	for _, value := range vector {
		data = binary.LittleEndian.AppendUint32(data, math.Float32bits(value))
	}

	return data
}

// dot is the inner product with an encoded vector of as many dimensions. It adds in four lanes, so that the processor need
// not wait for each sum.
func dot(vector []float32, data []byte) float64 {
	var s0, s1, s2, s3 float32

	for len(vector) >= 4 {
		s0 += vector[0] * float32At(data)
		s1 += vector[1] * float32At(data[4:])
		s2 += vector[2] * float32At(data[8:])
		s3 += vector[3] * float32At(data[12:])
		vector, data = vector[4:], data[16:]
	}

	for i, value := range vector {
		s0 += value * float32At(data[4*i:])
	}

	return float64(s0 + s1 + s2 + s3)
}

func float32At(data []byte) float32 { return math.Float32frombits(binary.LittleEndian.Uint32(data)) }
