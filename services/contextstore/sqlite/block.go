package sqlite

import (
	"encoding/binary"
	"iter"
	"math"

	"github.com/serinhq/serin/services/contextstore"
	"github.com/serinhq/serin/services/contextstore/relational"
)

const (
	// blockSize is how many bytes a block of vectors may have, unless one entry is larger: large enough for rows to cost
	// nothing, and small enough to be written anew with each entry.
	blockSize = 64 << 10
	// entryHead is how many bytes of an entry come before its vector.
	entryHead = 16
)

// block is entries of one size, one behind the other.
type block []byte

// entry is a memory's position, when it expires in nanoseconds since 1970 (0 for never), and its vector.
type entry []byte

func entrySize(dimensions int) int { return entryHead + 4*dimensions }

func (b block) full(dimensions int) bool { return len(b)+entrySize(dimensions) > blockSize }

// with returns the block with the vector of a memory behind the others.
func (b block) with(row contextstore.Memory) block {
	b = binary.LittleEndian.AppendUint64(b, uint64(row.Position))                    //nolint:gosec // the same 64 bits
	b = binary.LittleEndian.AppendUint64(b, uint64(relational.Nanos(row.ExpiresAt))) //nolint:gosec // as above

	for _, value := range row.Vector {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(value))
	}

	return b
}

// without returns the block without the vectors of the first memories, and of how many. They are in the order of their
// positions, and the first one's vector is in the block.
func (b block) without(rows []contextstore.Memory) (rest block, dropped int) {
	for one := range b.entries(rows[0].Dimensions) {
		if dropped < len(rows) && one.position() == rows[dropped].Position {
			dropped++
		} else {
			rest = append(rest, one...)
		}
	}

	return rest, dropped
}

// entries are those of whole size.
func (b block) entries(dimensions int) iter.Seq[entry] {
	return func(yield func(entry) bool) {
		for size := entrySize(dimensions); len(b) >= size; b = b[size:] {
			if !yield(entry(b[:size])) {
				return
			}
		}
	}
}

func (e entry) position() int64 { return int64(binary.LittleEndian.Uint64(e)) } //nolint:gosec // the same 64 bits

func (e entry) expires() int64 { return int64(binary.LittleEndian.Uint64(e[8:])) } //nolint:gosec // as above

// dot is the inner product with a vector of as many dimensions. It adds in four lanes, so that the processor need not wait
// for each sum.
func (e entry) dot(vector []float32) float64 {
	var s0, s1, s2, s3 float32

	data := e[entryHead:]
	for len(vector) >= 4 && len(data) >= 16 {
		s0 += vector[0] * float32At(data)
		s1 += vector[1] * float32At(data[4:])
		s2 += vector[2] * float32At(data[8:])
		s3 += vector[3] * float32At(data[12:])
		vector, data = vector[4:], data[16:]
	}

	for i, value := range vector {
		s0 += value * float32At(data[4*i:])
	}

	return float64(s0 + s1 + s2 + s3)
}

func float32At(data []byte) float32 { return math.Float32frombits(binary.LittleEndian.Uint32(data)) }
