package llmsim

import (
	"encoding/binary"
	"hash/fnv"
	"math/rand/v2"
)

// draw is chance that depends on nothing but the seed, the request and what is drawn for.
type draw struct{ seed, request uint64 }

// newDraw is the chance of one request.
func newDraw(seed uint64, parts ...string) draw {
	hash := fnv.New64a()
	for _, part := range parts {
		_, _ = hash.Write(binary.LittleEndian.AppendUint64(nil, uint64(len(part)))) // hashes never fail
		_, _ = hash.Write([]byte(part))
	}

	return draw{seed: seed, request: hash.Sum64()}
}

func (d draw) source(name string) *rand.Rand {
	hash := fnv.New64a()
	_, _ = hash.Write([]byte(name))

	return rand.New(rand.NewPCG(d.request, d.seed^hash.Sum64())) //nolint:gosec // chance, not secrets
}

// hits reports whether a share of all requests includes this one.
func (d draw) hits(name string, share float64) bool {
	return share > 0 && d.source(name).Float64() < share
}

// pick chooses one of some texts.
func (d draw) pick(name string, texts ...string) string {
	return texts[d.source(name).IntN(len(texts))]
}
