package contextstore

import (
	"cmp"
	"slices"
)

const (
	// candidates is how many memories each ranking has a say on: far down its places say nothing. It is no less than the
	// largest limit of a search.
	candidates = 50
	// fusion is the constant of reciprocal rank fusion, as Cormack, Clarke and Buettcher chose it (SIGIR 2009): how little the
	// first places of one ranking outweigh places in both.
	fusion = 60
	// vectorFloor is the cosine that a memory must have with a query to be ranked by vectors. The cosines of directions that
	// have nothing to do with each other scatter around 0 by 1/√dimensions, which is 0.06 for 256, the fewest that embedding
	// models commonly have: what is below three times that can't be told from chance, and would only fill up the answer to a
	// query that nothing fits.
	vectorFloor = 0.2
)

// ranked is a memory with its places, from 1, in the rankings; 0 in one that does not have it.
type ranked struct {
	Memory

	score        float64
	text, vector int
}

// fuse joins rankings, best first, and keeps the best: each gives a memory 1/(60 + its place). Of equals the newest comes
// first.
func fuse(byWords, byVector []Memory, limit int) []ranked {
	places := map[int64]int{}
	fused := make([]ranked, 0, len(byWords)+len(byVector))

	place := func(i int, row Memory) *ranked {
		at, known := places[row.Position]
		if !known {
			at = len(fused)
			places[row.Position] = at
			fused = append(fused, ranked{Memory: row})
		}

		fused[at].score += 1 / float64(fusion+i+1)

		return &fused[at]
	}

	for i, row := range byWords {
		place(i, row).text = i + 1
	}

	for i, row := range byVector {
		place(i, row).vector = i + 1
	}

	slices.SortFunc(fused, func(a, b ranked) int {
		return cmp.Or(cmp.Compare(b.score, a.score), cmp.Compare(b.Position, a.Position))
	})

	return fused[:min(len(fused), limit)]
}
