package relational

import (
	"slices"
	"strings"
	"time"

	"github.com/serinhq/serin/services/contextstore"
)

const (
	// MemoryColumns are those of a memory, as [Rows.MemoriesWhere] reads them and [MemoryValues] returns them.
	MemoryColumns = `memory_id, tenant, user_name, text, conversation_id, turn_id, agent, revision, created_at, expires_at,
		embedding_model, dimensions`
	// InsertMemory begins the statement that adds a memory, for as many values.
	InsertMemory = "INSERT INTO memories (" + MemoryColumns

	// OfScope restricts rows to those of a [contextstore.MemoryScope]: see [ScopeValues].
	OfScope = `tenant = ? AND user_name = ? AND (expires_at = 0 OR expires_at > ?)`

	selectMemories = "SELECT position, " + MemoryColumns + " FROM memories "
)

// MemoryValues are a memory's columns.
func MemoryValues(row contextstore.Memory) []any {
	var conversation any // none is NULL, which refers to nothing
	if row.ConversationID != "" {
		conversation = row.ConversationID
	}

	return []any{
		row.ID, row.Tenant, row.User, row.Text, conversation, row.TurnID, row.Agent, row.Revision,
		Nanos(row.CreatedAt), Nanos(row.ExpiresAt), row.Model, row.Dimensions,
	}
}

// ScopeValues are the parameters of [OfScope].
func ScopeValues(of contextstore.MemoryScope, more ...any) []any {
	return append([]any{of.Tenant, of.User, Nanos(of.Now)}, more...)
}

// MemoriesWhere reads memories. The rest of the query begins after the table's name.
func (r Rows) MemoriesWhere(rest string, args ...any) ([]contextstore.Memory, error) {
	var found []contextstore.Memory

	err := r.db.Each(selectMemories+rest, args, func(scan Scan) (bool, error) {
		var (
			row              contextstore.Memory
			conversation     *string
			created, expires int64
		)

		err := scan(&row.Position, &row.ID, &row.Tenant, &row.User, &row.Text, &conversation, &row.TurnID, &row.Agent,
			&row.Revision, &created, &expires, &row.Model, &row.Dimensions)
		if conversation != nil {
			row.ConversationID = *conversation
		}

		row.CreatedAt, row.ExpiresAt = at(created), at(expires)
		found = append(found, row)

		return true, err
	})

	return found, err
}

// Memory returns a memory, even if it has expired, or one without an id.
func (r Rows) Memory(tenant, memoryID string) (contextstore.Memory, error) {
	found, err := r.MemoriesWhere("WHERE tenant = ? AND memory_id = ?", tenant, memoryID)
	if err != nil || len(found) == 0 {
		return contextstore.Memory{}, err
	}

	return found[0], nil
}

// CountMemories returns how many there are.
func (r Rows) CountMemories(of contextstore.MemoryScope) (count int, err error) {
	_, err = r.db.One("SELECT COUNT(*) FROM memories WHERE "+OfScope, ScopeValues(of), &count)

	return count, err
}

// Memories returns up to limit memories, newest first, that are older than a position.
func (r Rows) Memories(of contextstore.MemoryScope, before int64, limit int) ([]contextstore.Memory, error) {
	if before == 0 {
		return r.MemoriesWhere("WHERE "+OfScope+" ORDER BY position DESC LIMIT ?", ScopeValues(of, limit)...)
	}

	return r.MemoriesWhere("WHERE "+OfScope+" AND position < ? ORDER BY position DESC LIMIT ?", ScopeValues(of, before, limit)...)
}

// MemoriesNamed returns those of the named memories that are there.
func (r Rows) MemoriesNamed(of contextstore.MemoryScope, memoryIDs []string) ([]contextstore.Memory, error) {
	if len(memoryIDs) == 0 {
		return nil, nil
	}

	list, values := listOf(memoryIDs)

	return r.MemoriesWhere("WHERE "+OfScope+" AND memory_id IN "+list+" ORDER BY position", ScopeValues(of, values...)...)
}

// VectorKinds returns which vectors there are, in order.
func (r Rows) VectorKinds(of contextstore.MemoryScope) ([]contextstore.VectorKind, error) {
	var found []contextstore.VectorKind

	err := r.db.Each("SELECT DISTINCT embedding_model, dimensions FROM memories WHERE "+OfScope+
		" AND dimensions > 0 ORDER BY embedding_model, dimensions", ScopeValues(of),
		func(scan Scan) (bool, error) {
			var kind contextstore.VectorKind

			err := scan(&kind.Model, &kind.Dimensions)
			found = append(found, kind)

			return true, err
		})

	return found, err
}

// DeleteMemories deletes the named memories of a user, or all if none are named.
func (r Rows) DeleteMemories(tenant, user string, memoryIDs []string) error {
	const ofUser = "DELETE FROM memories WHERE tenant = ? AND user_name = ?"

	if len(memoryIDs) == 0 {
		return r.db.Exec(ofUser, tenant, user)
	}

	list, values := listOf(memoryIDs)

	return r.db.Exec(ofUser+" AND memory_id IN "+list, append([]any{tenant, user}, values...)...)
}

// ForgetMemories deletes up to limit memories of a tenant that have expired, the first ones first.
func (r Rows) ForgetMemories(tenant string, now time.Time, limit int) error {
	return r.db.Exec(ForgetExpired+")", tenant, Nanos(now), limit)
}

// ForgetExpired is the statement that deletes expired memories, but for its last parenthesis.
const ForgetExpired = `DELETE FROM memories WHERE position IN (SELECT position FROM memories
		WHERE tenant = ? AND expires_at > 0 AND expires_at <= ? ORDER BY expires_at, position LIMIT ?`

// listOf writes names as a list of parameters of one of three lengths, so that there are few statements: the last name fills
// it up. The names are copied.
func listOf(names []string) (list string, values []any) {
	length := contextstore.MaxNamed
	for _, short := range []int{10, 1} {
		if len(names) <= short {
			length = short
		}
	}

	names = slices.Clone(names)
	for len(names) < length {
		names = append(names, names[len(names)-1])
	}

	values = make([]any, 0, len(names))
	for _, name := range names {
		values = append(values, name)
	}

	return "(?" + strings.Repeat(", ?", len(names)-1) + ")", values
}
