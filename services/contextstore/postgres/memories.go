package postgres

import (
	"strconv"
	"strings"
	"time"

	"github.com/serinhq/serin/services/contextstore"
	"github.com/serinhq/serin/services/contextstore/relational"
)

// VectorProblem asks whether there is a table for vectors. It is asked each time: one that is added while this process runs
// is used at once.
func (r reader) VectorProblem() (string, error) {
	var exists, allowed bool

	// Nobody has a privilege on a table that is not there: NULL.
	_, err := r.db.One(`SELECT found IS NOT NULL, COALESCE(has_table_privilege(found, 'SELECT') AND has_table_privilege(found, 'INSERT')
		AND has_table_privilege(found, 'DELETE'), false) FROM (SELECT to_regclass('memory_vectors')::oid AS found) t`, nil, &exists, &allowed)

	switch {
	case err != nil || allowed:
		return "", err
	case exists:
		return "this process may not use the table memory_vectors: GRANT SELECT, INSERT, DELETE ON memory_vectors TO its role", nil
	default:
		return "the database keeps no vectors: " + howToGetVectors, nil
	}
}

// matching is the query for any of some words. It is made once and not for each row, which only a subquery brings about
// where plans are generic.
const matching = "(SELECT to_tsquery('simple', ?))"

// MemoriesByWords ranks by ts_rank, of which a word that occurs often counts little more than one that occurs once, and each
// further word of the query as much as the first; ts_rank_cd sums up occurrences if any word will do. A long text counts
// less.
func (r reader) MemoriesByWords(of contextstore.MemoryScope, words []string, limit int) ([]contextstore.Memory, error) {
	query := "'" + strings.Join(words, "' | '") + "'" // what stands in quotation marks is no syntax, and words have none

	return r.MemoriesWhere("WHERE "+relational.OfScope+" AND lexemes @@ "+matching+
		" ORDER BY ts_rank(lexemes, "+matching+", 1) DESC, position DESC LIMIT ?",
		relational.ScopeValues(of, query, query, limit)...)
}

// MemoriesByVector compares with each of the user's vectors of the kind. There is no index for that: a user has few, and one
// over those of all would find the nearest of other users.
func (r reader) MemoriesByVector(
	of contextstore.MemoryScope, model string, vector []float32, floor float64, limit int,
) ([]contextstore.Memory, error) {
	args := append([]any{textOf(vector)}, relational.ScopeValues(of, model, len(vector), limit, 1-floor)...)

	return r.MemoriesWhere(`JOIN (SELECT position AS found, vector <=> (SELECT ?::text::vector) AS distance
			FROM memory_vectors WHERE `+relational.OfScope+` AND model = ? AND dimensions = ?
			ORDER BY distance, position DESC LIMIT ?) nearest ON found = position
		WHERE distance < ?::float8 ORDER BY distance, position DESC`, args...)
}

// textOf is a vector as pgvector reads it.
func textOf(vector []float32) string {
	text := make([]byte, 0, 12*len(vector))
	text = append(text, '[')

	for i, value := range vector {
		if i > 0 {
			text = append(text, ',')
		}

		text = strconv.AppendFloat(text, float64(value), 'g', -1, 32)
	}

	return string(append(text, ']'))
}

// mayRemember checks that the transaction's lock is for what is remembered of a user.
func (t *tx) mayRemember(tenant, user string) error {
	if t.plan.everything || t.plan.scope == contextstore.MemoriesOf(tenant, user) {
		return nil
	}

	return notCovered("memories of user " + user)
}

// InsertMemory adds a memory and its vector.
func (t *tx) InsertMemory(row contextstore.Memory) error {
	if err := t.mayRemember(row.Tenant, row.User); err != nil {
		return err
	}

	if err := t.Exec(relational.InsertMemory+", words) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
		append(relational.MemoryValues(row), row.Words)...); err != nil || row.Vector == nil {
		return err
	}

	return t.Exec(`INSERT INTO memory_vectors (position, tenant, user_name, model, dimensions, expires_at, vector)
		SELECT position, tenant, user_name, embedding_model, dimensions, expires_at, ?::text::vector FROM memories
		WHERE tenant = ? AND memory_id = ?`, textOf(row.Vector), row.Tenant, row.ID)
}

// DeleteMemories deletes the named memories of a user, or all if none are named.
func (t *tx) DeleteMemories(tenant, user string, memoryIDs []string) error {
	if err := t.mayRemember(tenant, user); err != nil {
		return err
	}

	return t.Rows.DeleteMemories(tenant, user, memoryIDs)
}

// ForgetMemory deletes a memory that has expired, whoever's it is: nobody counts on it.
func (t *tx) ForgetMemory(expired contextstore.Memory) error {
	return t.Rows.DeleteMemories(expired.Tenant, expired.User, []string{expired.ID})
}

// ForgetMemories deletes expired memories of a tenant, whoever's they are; those that another transaction is at are its to
// delete.
func (t *tx) ForgetMemories(tenant string, now time.Time, limit int) error {
	return t.Exec(relational.ForgetExpired+" FOR UPDATE SKIP LOCKED)", tenant, relational.Nanos(now), limit)
}
