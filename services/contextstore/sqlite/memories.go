package sqlite

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"time"

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

	if _, err := c.One("SELECT position FROM memories WHERE tenant = ? AND memory_id = ?", []any{row.Tenant, row.ID},
		&row.Position); err != nil {
		return err
	}

	if err := c.Exec("INSERT INTO memory_words (rowid, owner, words) VALUES (?, ?, ?)",
		row.Position, ownerOf(row.Tenant, row.User), row.Words); err != nil || row.Vector == nil {
		return err
	}

	return c.addVector(row)
}

// DeleteMemories deletes the named memories of a user, or all if none are named.
func (c *conn) DeleteMemories(tenant, user string, memoryIDs []string) error {
	const ofUser = "tenant = ? AND user_name = ?"

	if len(memoryIDs) == 0 {
		if err := c.Exec("DELETE FROM memory_vectors WHERE "+ofUser, tenant, user); err != nil {
			return err
		}
	}

	for _, id := range memoryIDs { // each by itself: they may be in any order
		if err := c.dropVectors(ofUser+" AND memory_id = ?", tenant, user, id); err != nil {
			return err
		}
	}

	return c.Rows.DeleteMemories(tenant, user, memoryIDs)
}

// ForgetMemory deletes a memory that has expired.
func (c *conn) ForgetMemory(expired contextstore.Memory) error {
	return c.DeleteMemories(expired.Tenant, expired.User, []string{expired.ID})
}

// ForgetMemories deletes up to limit memories of a tenant that have expired, the first ones first.
func (c *conn) ForgetMemories(tenant string, now time.Time, limit int) error {
	if err := c.dropVectors(`position IN (SELECT position FROM memories WHERE tenant = ? AND expires_at > 0 AND expires_at <= ?
		ORDER BY expires_at, position LIMIT ?)`, tenant, relational.Nanos(now), limit); err != nil {
		return err
	}

	return c.Rows.ForgetMemories(tenant, now, limit)
}

// DeleteConversation deletes a conversation and every row that is about it or comes from it, but for outcomes.
func (c *conn) DeleteConversation(conversationID string) error {
	if err := c.dropVectors("conversation_id = ?", conversationID); err != nil {
		return err
	}

	return c.Rows.DeleteConversation(conversationID)
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

	// The best ones are chosen before their rows are looked at: beside as many as are wanted, as many as may have expired.
	args := append([]any{query, limit, of.Tenant, relational.Nanos(of.Now)}, relational.ScopeValues(of, limit)...)

	return c.MemoriesWhere(`JOIN (SELECT rowid AS found, bm25(memory_words, 0.0, 1.0) AS score FROM memory_words
			WHERE memory_words MATCH ? ORDER BY score, rowid DESC LIMIT ? +
				(SELECT COUNT(*) FROM memories WHERE tenant = ? AND expires_at > 0 AND expires_at <= ?)) ON found = position
		WHERE `+relational.OfScope+` ORDER BY score, position DESC LIMIT ?`, args...)
}
