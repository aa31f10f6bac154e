package storetest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	"github.com/serinhq/serin/services/contextstore"
)

// BenchmarkMemories searches among the memories of a user who has as many as may be, beside another such user: by words,
// of which each query has twelve, and where the store keeps vectors by words and vectors of 256 dimensions.
func BenchmarkMemories(b *testing.B, open Open) {
	b.Helper()

	const dimensions = 256

	w := newWorld(b, open(b))
	rankings := []string{"words"}

	if w.keepsVectors() {
		rankings = append(rankings, "hybrid")
	}

	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // no secret

	w.fillMemories(random, ada, dimensions)
	w.fillMemories(random, bob, dimensions)

	for _, ranking := range rankings {
		b.Run(ranking, func(b *testing.B) {
			var took []time.Duration

			for b.Loop() {
				request := w.user(acme, ada).search(sentence(random))
				if ranking == "hybrid" {
					request.Embedding = &contextv1.Embedding{Model: "m", Vector: direction(random, dimensions)}
				}

				began := time.Now()

				found, err := w.client.SearchMemories(w.gateway(), request)
				took = append(took, time.Since(began))

				w.ok(err)
				same(w, "memories", len(found.GetMemories()), 5)
				same(w, "problem", found.GetProblem(), "")
			}

			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds())/1e3, "p50-ms")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1e3, "p99-ms")
		})
	}
}

// fillMemories writes 10,000 memories of a user in few transactions.
func (w *world) fillMemories(random *rand.Rand, user string, dimensions int) {
	w.Helper()

	about := contextstore.About{Tenant: acme, Scope: contextstore.MemoriesOf(acme, user)}

	for page := range 20 {
		w.ok(w.store.Update(w.Context(), about, func(tx contextstore.Tx) error {
			problem, err := tx.VectorProblem()
			for i := 0; i < 500 && err == nil; i++ {
				text := sentence(random)
				row := contextstore.Memory{
					ID: fmt.Sprintf("%s-%d-%d", user, page, i), Tenant: acme, User: user, Text: text, Words: text, CreatedAt: w.clock.Now(),
				}

				if problem == "" {
					row.Model, row.Dimensions, row.Vector = "m", dimensions, direction(random, dimensions)
				}

				err = tx.InsertMemory(row)
			}

			return err
		}))
	}
}

// sentence is twelve words of three thousand, of which some are much more frequent.
func sentence(random *rand.Rand) string {
	words := make([]string, 0, 12)
	for range 12 {
		words = append(words, fmt.Sprintf("word%d", int(3000*random.Float64()*random.Float64()*random.Float64())))
	}

	return strings.Join(words, " ")
}

// direction is a vector of length 1, whose cosines with others of its kind are around a third, as those of texts in one
// language are.
func direction(random *rand.Rand, dimensions int) []float32 {
	vector, sum := make([]float32, dimensions), 0.0
	for i := range vector {
		vector[i] = float32(0.7 + random.NormFloat64())
		sum += float64(vector[i]) * float64(vector[i])
	}

	return scaled(vector, 1/sqrt32(sum))
}
