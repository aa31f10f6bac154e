package sqlite_test

import (
	"testing"

	"github.com/serinhq/serin/services/contextstore/storetest"
)

func BenchmarkMemories(b *testing.B) { storetest.BenchmarkMemories(b, open) }
