package retriever

import "slices"

const (
	// candidates is how many passages each ranking has a say on, at least: far down its places say nothing.
	candidates = 20
	// fusion is the constant of reciprocal rank fusion, as Cormack, Clarke and Buettcher chose it (SIGIR 2009): how little the
	// first places of one ranking outweigh places in both.
	fusion = 60
)

// ranked is a passage with what each ranking says of it; nil where one did not find it.
type ranked struct {
	id            int64
	score         float64
	words, vector *float64
}

// fuse joins rankings, best first: each gives a passage 1/(60 + its rank).
func fuse(words, vectors []hit) []ranked {
	places := map[int64]int{}
	fused := make([]ranked, 0, len(words)+len(vectors))

	place := func(rank int, id int64) *ranked {
		at, known := places[id]
		if !known {
			at = len(fused)
			places[id] = at
			fused = append(fused, ranked{id: id})
		}

		fused[at].score += 1 / float64(fusion+rank+1)

		return &fused[at]
	}

	for rank, hit := range words {
		place(rank, hit.id).words = new(hit.score)
	}

	for rank, hit := range vectors {
		place(rank, hit.id).vector = new(hit.score)
	}

	slices.SortFunc(fused, func(a, b ranked) int { return compareHits(hit{a.id, a.score}, hit{b.id, b.score}) })

	return fused
}

// alone is one ranking by itself.
func alone(words, vectors []hit) []ranked {
	made := make([]ranked, 0, len(words)+len(vectors))

	for _, hit := range words {
		made = append(made, ranked{id: hit.id, score: hit.score, words: new(hit.score)})
	}

	for _, hit := range vectors {
		made = append(made, ranked{id: hit.id, score: hit.score, vector: new(hit.score)})
	}

	return made
}
