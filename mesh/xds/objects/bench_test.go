package objects

import (
	"fmt"
	"testing"

	"k8s.io/apimachinery/pkg/types"
)

// BenchmarkWrite is a JSON Patch of a weight, from the request's body to the journal.
func BenchmarkWrite(b *testing.B) {
	store, err := Open(Config{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}

	defer func() { _ = store.Close() }()

	reader := decoder{kind: store.kinds[VirtualService], version: "v1"}

	d, _, err := reader.decode([]byte(seed))
	if err != nil {
		b.Fatal(err)
	}

	at := target{kind: reader.kind, key: key{"default", "billing"}}
	if _, err := store.create(at, d); err != nil {
		b.Fatal(err)
	}

	n := 0

	for b.Loop() {
		n++
		patch := fmt.Appendf(nil, `[{"op":"test","path":"/spec/http/0/name","value":"split"},{"op":"replace","path":"/spec/http/0/route/1/weight","value":%d}]`, n)

		_, err := store.update(at, func(before *object) (draft, error) {
			document, err := applyPatch(types.JSONPatchType, encode(at.kind, "v1", before.body), patch)
			if err != nil {
				return draft{}, err
			}

			d, _, err := reader.decode(document)

			return d, err
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}
