package storetest

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"

	"google.golang.org/grpc/codes"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
)

func memorySearchTests() map[string]func(*world) {
	return map[string]func(*world){
		"ByWords":           memoriesByWords,
		"QueriesAreTexts":   queriesAreTexts,
		"MoreWordsComeBest": moreWordsComeBest,
		"Limit":             memoryLimits,
		"OthersAreNotSeen":  othersMemoriesAreNotSeen,
	}
}

func memoryVectorTests() map[string]func(*world) {
	return map[string]func(*world){
		"ByVectors":         memoriesByVectors,
		"RankingsAreFused":  rankingsAreFused,
		"FarIsNotFound":     farIsNotFound,
		"OtherKinds":        otherKindsOfVectors,
		"ManyComeAndGo":     manyVectorsComeAndGo,
		"Ready":             memoriesAreReady,
		"VectorsAreChecked": memoryVectorsAreChecked,
	}
}

func memoriesByWords(w *world) {
	of := w.user(acme, ada)
	w.remember(of, "café", "Her favourite is a Café crème in Åarhus, at 10:30.")
	w.remember(of, "greek", "Πίνει καφέ στο σπίτι")
	w.remember(of, "japanese", "京都でお茶を飲むのが好き") //nolint:gosmopolitan // a script without spaces
	w.remember(of, "dog", "Has a dog named Bo; ID-4711/x_y@example.com")

	for query, want := range map[string][]string{
		"CAFE":                    {"café"},
		"cafe\u0301":              {"café"},
		"ａａｒｈｕｓ?":                 {"café"}, // full width, as some keyboards write
		"what does she do at 10?": {"café"},
		"ΚΑΦΕ":                    {"greek"},
		"京都":                      {"japanese"}, //nolint:gosmopolitan // as above
		"お茶":                      {"japanese"}, //nolint:gosmopolitan // as above
		"who is Bo":               {"dog"},
		"4711":                    {"dog"},
		"id-4711":                 {"dog"},
		"x_y@example.com":         {"dog"},
		"caf":                     nil, // words, not parts of them
		"what is the user's":      nil,
		"tea":                     nil,
		"?!":                      nil,
	} {
		w.finds(of, query, want...)
	}

	response := w.find(of, of.search("cafe"))
	same(w, "ranking", response.GetRanking(), contextv1.Ranking_RANKING_TEXT)
	same(w, "text rank", response.GetMemories()[0].GetTextRank(), 1)
	same(w, "vector rank", response.GetMemories()[0].GetVectorRank(), 0)
	same(w, "score", response.GetMemories()[0].GetScore(), 1.0/61)
}

// queriesAreTexts: what has a meaning to a database has none in a query.
func queriesAreTexts(w *world) {
	of := w.user(acme, ada)
	w.remember(of, "m", "likes green tea")
	w.remember(of, "n", "words and owner near not")

	for _, query := range []string{
		`"tea`, `tea"`, `'tea`, `tea' & !x`, `tea*`, `^tea`, `-tea`, `(tea`, `tea)`, `words:tea`, `owner:x OR tea`, `tea AND`,
		`tea NOT green`, `{words} : tea`, `tea NEAR(x)`, `tea:*`, `tea <-> green`, `tea | `, `tea\`, `tea ? $1 %s ;--`, "tea\x00",
	} {
		found := w.find(of, of.search(query)).GetMemories()
		if !slices.ContainsFunc(found, func(one *contextv1.FoundMemory) bool { return one.GetMemory().GetMemoryId() == "m" }) {
			w.Errorf("%q finds %v", query, found)
		}
	}
}

// moreWordsComeBest: two words of the query say more than one that is repeated, and a word in few words more than in many.
func moreWordsComeBest(w *world) {
	of := w.user(acme, ada)
	w.remember(of, "twice", "tea and tea and tea and tea, and nothing else but that")
	w.remember(of, "both", "green grapes and no tea on any day of the week")
	w.remember(of, "other", "a dog")
	w.remember(of, "another", "a cat")
	w.remember(of, "third", "a bird")

	w.finds(of, "green tea", "both", "twice")

	w.remember(of, "old", "bread")
	w.remember(of, "new", "bread")
	w.finds(of, "bread", "new", "old") // of equals the newest
}

func memoryLimits(w *world) {
	of := w.user(acme, ada)

	var want []string
	for i := range 60 {
		want = append([]string{w.remember(of, fmt.Sprint("m", i), "tea", 1, 0).GetMemoryId()}, want...)
	}

	for limit, many := range map[int32]int{0: 5, 1: 1, 50: 50} {
		request := of.search("tea")
		request.Limit = limit
		w.foundAre("tea", w.find(of, request), want[:many]...)

		request.Embedding = &contextv1.Embedding{Model: model, Vector: []float32{1, 0}}
		w.foundAre("tea", w.find(of, request), want[:many]...)
	}
}

// othersMemoriesAreNotSeen: whatever is stored, deleted and looked for by two users of two tenants each, everyone has what
// is their own.
func othersMemoriesAreNotSeen(w *world) {
	var (
		random = rand.New(rand.NewPCG(7, 11)) //nolint:gosec // no secret
		users  = []owned{w.user(acme, ada), w.user(acme, bob), w.user(corp, ada), w.user(corp, acme)}
		own    = make([][]string, len(users))
		words  = []string{"tea", "green", "dog", "bo", "acme", "corp", "ada"}
	)

	for range 150 {
		i := random.IntN(len(users))
		of := users[i]

		switch random.IntN(5) {
		case 0, 1, 2:
			text := words[random.IntN(len(words))] + " " + words[random.IntN(len(words))]
			vector := []float32{random.Float32(), random.Float32() - 0.5, 0.1}
			own[i] = append([]string{w.remember(of, w.fresh("m"), text, vector...).GetMemoryId()}, own[i]...)
		case 3:
			victim := random.IntN(len(users)) // whose id another may try
			if len(own[victim]) == 0 {
				continue
			}

			id := own[victim][random.IntN(len(own[victim]))]
			deleted, err := w.client.DeleteMemories(w.gateway(), of.deletion(id))
			w.ok(err)
			same(w, "deleted", deleted.GetDeleted() == 1, victim == i)

			own[i] = slices.DeleteFunc(own[i], func(one string) bool { return one == id })
		default:
			request := of.search(words[random.IntN(len(words))])
			request.Limit = 50
			request.Embedding = &contextv1.Embedding{Model: model, Vector: []float32{1, random.Float32() - 0.5, 0}}

			for _, one := range w.find(of, request).GetMemories() {
				if !slices.Contains(own[i], one.GetMemory().GetMemoryId()) || one.GetMemory().GetUser() != of.person.GetUser() {
					w.Fatalf("%v finds %v", of.person, one)
				}
			}
		}
	}

	for i, of := range users {
		sameList(w, "memories of "+of.person.String(), w.listed(of, 1000, func() {}), own[i])
	}
}

// memoriesByVectors: the nearest is found although no word is shared; where no vectors are kept, that is said.
func memoriesByVectors(w *world) {
	of := w.user(acme, ada)
	kept := w.keepsVectors()

	near := w.remember(of, "near", "prefers oolong", 10, 1, 0)
	w.remember(of, "nearer", "likes sencha", 3, 0.1, 0)
	w.remember(of, "far", "has a dog", 0, 0, 2)
	w.remember(of, "none", "without a vector")
	same(w, "model", near.GetEmbeddingModel() == model, kept)

	if !kept {
		response := w.nearTo(of, "what to drink", []float32{1, 0, 0})
		same(w, "ranking", response.GetRanking(), contextv1.Ranking_RANKING_TEXT)
		same(w, "there is a problem", response.GetProblem() != "", true)

		return
	}

	response := w.nearTo(of, "what to drink", []float32{5, 0, 0}, "nearer", "near")
	same(w, "ranking", response.GetRanking(), contextv1.Ranking_RANKING_HYBRID)
	same(w, "problem", response.GetProblem(), "")
	same(w, "vector rank", response.GetMemories()[1].GetVectorRank(), 2)
	same(w, "text rank", response.GetMemories()[1].GetTextRank(), 0)
	same(w, "score", response.GetMemories()[1].GetScore(), 1.0/62)
}

func rankingsAreFused(w *world) {
	of := w.user(acme, ada)
	w.remember(of, "words", "tea and tea", 0, 1)
	w.remember(of, "both", "tea at four and then some more of what there is", 1, 0.5)
	w.remember(of, "vector", "sencha", 1, 0)

	if !w.keepsVectors() {
		w.nearTo(of, "tea", []float32{1, 0}, "words", "both")

		return
	}

	response := w.nearTo(of, "tea", []float32{1, 0}, "both", "vector", "words") // of equals the newest
	best := response.GetMemories()[0]
	same(w, "text rank", best.GetTextRank(), 2)
	same(w, "vector rank", best.GetVectorRank(), 2)
	same(w, "score", best.GetScore(), 2.0/62)
}

// farIsNotFound: a query that nothing fits finds nothing.
func farIsNotFound(w *world) {
	of := w.user(acme, ada)
	w.remember(of, "orthogonal", "one", 0, 1)
	w.remember(of, "opposite", "two", -1, 0)
	w.remember(of, "chance", "three", 0.19, float32(math.Sqrt(1-0.19*0.19)))
	w.nearTo(of, "tea", []float32{1, 0})

	if w.keepsVectors() {
		w.remember(of, "more", "four", 0.21, float32(math.Sqrt(1-0.21*0.21)))
		w.nearTo(of, "tea", []float32{1, 0}, "more")
	}
}

// otherKindsOfVectors: vectors of another model, or length, are not compared, and if there are no others that is said.
func otherKindsOfVectors(w *world) {
	of := w.user(acme, ada)
	asked := of.search("tea")
	asked.Embedding = &contextv1.Embedding{Model: "embed-2", Vector: []float32{1, 0}}

	if !w.keepsVectors() {
		return // memoriesByVectors
	}

	response := w.find(of, asked)
	same(w, "problem without memories", response.GetProblem(), "")
	same(w, "ranking without memories", response.GetRanking(), contextv1.Ranking_RANKING_HYBRID)

	w.remember(of, "m", "likes tea", 1, 0)
	w.remember(of, "n", "likes sencha", 1, 0, 0)

	response = w.find(of, asked)
	w.foundAre("tea", response, "m")
	same(w, "ranking", response.GetRanking(), contextv1.Ranking_RANKING_TEXT)
	same(w, "problem", response.GetProblem(), "the query's vector is of embed-2 (2 dimensions), those of the memories are of "+
		"embed-1 (2 dimensions), embed-1 (3 dimensions)")

	w.nearTo(of, "drinks", []float32{1, 0}, "m")
	w.nearTo(of, "drinks", []float32{1, 0, 0}, "n")
	w.nearTo(of, "drinks", []float32{-1, 0, 0})
}

func memoryVectorsAreChecked(w *world) {
	of := w.user(acme, ada)

	for what, wrong := range map[string]*contextv1.Embedding{
		"none": {Model: model}, "zero": {Model: model, Vector: []float32{0, 0}},
		"NaN":      {Model: model, Vector: []float32{1, float32(math.NaN())}},
		"infinite": {Model: model, Vector: []float32{1, float32(math.Inf(1))}},
		"nameless": {Vector: []float32{1}},
		"too long": {Model: model, Vector: make([]float32, 4097)},
	} {
		create, search := of.create("m", "tea"), of.search("tea")
		create.Embedding, search.Embedding = wrong, wrong

		_, err := w.client.CreateMemory(w.gateway(), create)
		same(w, "code of a creation, "+what, w.refused(err, invalid).code, codes.InvalidArgument)

		_, err = w.client.SearchMemories(w.gateway(), search)
		same(w, "code of a search, "+what, w.refused(err, invalid).code, codes.InvalidArgument)
	}

	large := make([]float32, 4096)
	large[7] = math.MaxFloat32 // its square is beyond float32
	w.remember(of, "large", "tea", large...)
	w.nearTo(of, "tea", large, "large")
}

// memoriesAreReady unless there are words alone, which is told.
func memoriesAreReady(w *world) {
	err := w.service.MemoryReady(w.Context())
	if w.keepsVectors() {
		w.ok(err)
	} else if err == nil || !strings.HasPrefix(err.Error(), "words alone: ") {
		w.Fatalf("got %v, want an error that says that there are words alone", err)
	}
}

// manyVectorsComeAndGo: of long vectors, of which each has a direction of its own, those are found that are left.
func manyVectorsComeAndGo(w *world) {
	const dimensions, many = 4096, 16

	if !w.keepsVectors() {
		return // memoriesByVectors
	}

	turn, lease := w.running()
	of := w.user(acme, ada)
	left := map[int]bool{}
	direction := func(i int) []float32 {
		vector := make([]float32, dimensions)
		vector[i] = 1

		return vector
	}

	for i := range many {
		owner := of
		if i%3 == 0 {
			owner = w.agent(lease)
		}

		w.remember(owner, fmt.Sprint("m", i), "x", direction(i)...)

		left[i] = true
	}

	check := func() {
		for i := range many + 1 {
			var want []string
			if left[i] {
				want = []string{fmt.Sprint("m", i)}
			}

			w.nearTo(of, "tea", direction(i), want...)
		}
	}

	check()

	for _, i := range []int{14, 1, 8, 2, 13, 7} {
		_, err := w.client.DeleteMemories(w.gateway(), of.deletion(fmt.Sprint("m", i)))
		w.ok(err)
		delete(left, i)
	}

	w.remember(of, fmt.Sprint("m", many), "x", direction(many)...)

	left[many] = true

	check()
	w.ok(w.delete(turn.GetConversationId(), true))

	for i := 0; i < many; i += 3 {
		delete(left, i)
	}

	check()
}
