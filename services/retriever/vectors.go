package retriever

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"sync"
)

// vectors holds those of all passages in memory, and finds by comparing with each.
type vectors struct {
	mu         sync.RWMutex
	dimensions int
	ids        []int64
	slots      map[int64]int
	// data are the vectors of ids, one behind the other.
	data []float32
}

func newVectors() *vectors { return &vectors{slots: map[int64]int{}} }

// put adds a passage's vector of length 1, or replaces it. The first one says how many dimensions there are.
func (v *vectors) put(id int64, vector []float32) error {
	v.mu.Lock()
	defer v.mu.Unlock()

	if len(v.ids) == 0 {
		v.dimensions = len(vector)
	}

	if len(vector) != v.dimensions {
		return dimensionsError(len(vector), v.dimensions)
	}

	slot, known := v.slots[id]
	if !known {
		slot = len(v.ids)
		v.ids, v.data = append(v.ids, id), append(v.data, vector...)
		v.slots[id] = slot
	}

	copy(v.data[slot*v.dimensions:], vector)

	return nil
}

func dimensionsError(got, want int) error {
	return fmt.Errorf("a vector has %d dimensions, and those of the index %d: is it the same model still? "+
		"another one needs another name, or the index must be removed", got, want)
}

// drop forgets passages; the last ones take their places.
func (v *vectors) drop(ids []int64) {
	v.mu.Lock()
	defer v.mu.Unlock()

	for _, id := range ids {
		slot, known := v.slots[id]
		if !known {
			continue
		}

		last := len(v.ids) - 1
		copy(v.data[slot*v.dimensions:(slot+1)*v.dimensions], v.data[last*v.dimensions:])
		v.ids[slot] = v.ids[last]
		v.slots[v.ids[slot]] = slot
		delete(v.slots, id)
		v.ids, v.data = v.ids[:last], v.data[:last*v.dimensions]
	}
}

func (v *vectors) len() int {
	v.mu.RLock()
	defer v.mu.RUnlock()

	return len(v.ids)
}

// size is how many dimensions vectors have; 0 while there are none.
func (v *vectors) size() int {
	v.mu.RLock()
	defer v.mu.RUnlock()

	if len(v.ids) == 0 {
		return 0
	}

	return v.dimensions
}

// nearest are the passages with the highest cosines, best first.
func (v *vectors) nearest(query []float32, most int) ([]hit, error) {
	v.mu.RLock()
	defer v.mu.RUnlock()

	if len(v.ids) == 0 {
		return nil, nil
	}

	if len(query) != v.dimensions {
		return nil, dimensionsError(len(query), v.dimensions)
	}

	best := make([]hit, 0, most+1)

	for slot, id := range v.ids {
		one := hit{id: id, score: dot(query, v.data[slot*v.dimensions:(slot+1)*v.dimensions])}
		if len(best) == most && !better(one, best[most-1]) {
			continue
		}

		at, _ := slices.BinarySearchFunc(best, one, compareHits)
		best = slices.Insert(best, at, one)
		best = best[:min(len(best), most)]
	}

	return best, nil
}

func better(a, b hit) bool { return compareHits(a, b) < 0 }

// compareHits orders the best first, and equals by age.
func compareHits(a, b hit) int {
	return cmp.Or(cmp.Compare(b.score, a.score), cmp.Compare(a.id, b.id))
}

// dot adds in four lanes, so that the processor need not wait for each sum.
func dot(a, b []float32) float64 {
	var s0, s1, s2, s3 float32

	b = b[:len(a)]
	for len(a) >= 4 {
		s0 += a[0] * b[0]
		s1 += a[1] * b[1]
		s2 += a[2] * b[2]
		s3 += a[3] * b[3]
		a, b = a[4:], b[4:]
	}

	for i := range a {
		s0 += a[i] * b[i]
	}

	return float64(s0 + s1 + s2 + s3)
}

// unit brings a vector to length 1. Errors: one that has no direction, or is no vector.
func unit(vector []float64) ([]float32, error) {
	if len(vector) == 0 || len(vector) > maxDimensions {
		return nil, fmt.Errorf("a vector has %d dimensions: want 1 to %d", len(vector), maxDimensions)
	}

	sum := 0.0
	for _, value := range vector {
		sum += value * value
	}

	length := math.Sqrt(sum)
	if length == 0 || math.IsNaN(length) || math.IsInf(length, 0) {
		return nil, fmt.Errorf("a vector has the length %v", length)
	}

	made := make([]float32, len(vector))
	for i, value := range vector {
		made[i] = float32(value / length)
	}

	return made, nil
}

func encodeVector(vector []float32) []byte {
	data := make([]byte, 0, 4*len(vector))
	for _, value := range vector {
		data = binary.LittleEndian.AppendUint32(data, math.Float32bits(value))
	}

	return data
}

func decodeVector(data []byte) []float32 {
	vector := make([]float32, len(data)/4)
	for i := range vector {
		vector[i] = math.Float32frombits(binary.LittleEndian.Uint32(data[4*i:]))
	}

	return vector
}
