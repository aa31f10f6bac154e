package contextstore

import "time"

// Memory is the row of a memory.
type Memory struct {
	// ID is unique within the tenant.
	ID           string
	Tenant, User string
	Text         string
	// Words are the text's, as they are looked for: see [wordsOf]. Readers leave them out.
	Words string
	// ConversationID and TurnID are those that it comes from; empty if it comes from none.
	ConversationID, TurnID string
	// Agent and Revision are who stored it; empty if a person did.
	Agent, Revision string
	CreatedAt       time.Time
	// ExpiresAt is when it is forgotten; zero for never.
	ExpiresAt time.Time
	// Model made the vector, which has this many dimensions; empty and 0 without one.
	Model      string
	Dimensions int
	// Vector has the length 1. Readers leave it out.
	Vector []float32

	// Position grows with every memory of the user. The store chooses it.
	Position int64
}

// MemoryScope is whose memories are looked at, and when: what has expired by then is not there.
type MemoryScope struct {
	Tenant, User string
	Now          time.Time
}

// VectorKind is what makes vectors comparable: the model that made them, and how many dimensions they have.
type VectorKind struct {
	Model      string
	Dimensions int
}

// MemoryReader reads memories.
type MemoryReader interface {
	// VectorProblem says why the store keeps no vectors, in words for an operator; empty if it does.
	VectorProblem() (string, error)
	// Memory returns a memory, even if it has expired, or one without an id.
	Memory(tenant, memoryID string) (Memory, error)
	// CountMemories returns how many there are.
	CountMemories(of MemoryScope) (int, error)
	// Memories returns up to limit memories, newest first, that are older than a position; 0 for all.
	Memories(of MemoryScope, before int64, limit int) ([]Memory, error)
	// MemoriesNamed returns those of the named memories that are there, at most [MaxNamed].
	MemoriesNamed(of MemoryScope, memoryIDs []string) ([]Memory, error)
	// MemoriesByWords returns up to limit memories that have any of the words, best first, and of equals the newest.
	MemoriesByWords(of MemoryScope, words []string, limit int) ([]Memory, error)
	// MemoriesByVector returns up to limit memories whose vectors are of the same kind and have a cosine with this one of
	// length 1 that is above a floor: the nearest first, and of equals the newest. The store must keep vectors.
	MemoriesByVector(of MemoryScope, model string, vector []float32, floor float64, limit int) ([]Memory, error)
	// VectorKinds returns which vectors there are, in order.
	VectorKinds(of MemoryScope) ([]VectorKind, error)
}

// MemoryTx writes memories.
type MemoryTx interface {
	// InsertMemory adds a memory, and its vector if it has one: then the store must keep vectors.
	InsertMemory(row Memory) error
	// DeleteMemories deletes the named memories of a user, at most [MaxNamed], or all if none are named.
	DeleteMemories(tenant, user string, memoryIDs []string) error
	// ForgetMemory deletes a memory that has expired, whoever's it is.
	ForgetMemory(expired Memory) error
	// ForgetMemories deletes up to limit memories of a tenant that have expired, the first ones first.
	ForgetMemories(tenant string, now time.Time, limit int) error
}

// MaxNamed is how many memories one request names at most.
const MaxNamed = 100

// memoryScope starts the scope of what is remembered of a user: transactions that write to it come one after another.
const memoryScope = "memories/"

// MemoriesOf is the scope ([About.Scope]) of a transaction that writes what is remembered of a user.
func MemoriesOf(tenant, user string) string { return memoryScope + tenant + "/" + user }
