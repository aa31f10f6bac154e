package postgres_test

import (
	"testing"

	"github.com/serinhq/serin/internal/testenv"
	"github.com/serinhq/serin/services/contextstore/postgres"
	"github.com/serinhq/serin/services/contextstore/storetest"
)

// BenchmarkMemories is by words alone where the server has no pgvector.
func BenchmarkMemories(b *testing.B) {
	storetest.BenchmarkMemories(b, opener(b, benchDatabase(b, nil)))
}

// BenchmarkMemoriesWithVectors is on a server that is WebAssembly, and slow.
func BenchmarkMemoriesWithVectors(b *testing.B) {
	at := testenv.PGLite(b)
	if _, err := postgres.Migrate(b.Context(), at, false); err != nil {
		b.Fatal(err)
	}

	storetest.BenchmarkMemories(b, opener(b, at))
}
