package objects

import (
	"errors"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
)

const seed = `{"kind":"VirtualService","apiVersion":"networking.istio.io/v1","metadata":{"name":"billing","annotations":{"a":"b"}},` +
	`"spec":{"hosts":["billing"],"http":[{"name":"split","timeout":"1.5s","retries":{"attempts":0},"match":[{"uri":{"prefix":"/"}}],` +
	`"route":[{"destination":{"host":"billing","subset":"r-a"},"weight":100},{"destination":{"host":"billing","subset":"r-b"},"weight":0}]}]}}`

// refused fails the test if an error is not the caller's.
func refused(t *testing.T, err error) {
	t.Helper()

	status := apierrors.APIStatus(nil)
	if !errors.As(err, &status) || status.Status().Code < 400 || status.Status().Code > 499 {
		t.Errorf("refused as if it were the server's fault: %v", err)
	}
}

// seeded is a store in memory with the seed in it.
func seeded(t testing.TB) (*Store, decoder, target) {
	t.Helper()

	store, err := Open(Config{})
	if err != nil {
		t.Fatal(err)
	}

	reader := decoder{kind: store.kinds[VirtualService], version: "v1"}

	d, _, err := reader.decode([]byte(seed))
	if err != nil {
		t.Fatal(err)
	}

	at := target{kind: reader.kind, key: key{"default", "billing"}}
	if _, err := store.create(at, d); err != nil {
		t.Fatal(err)
	}

	return store, reader, at
}

// FuzzPatch checks that no patch breaks the store: it is refused as the caller's fault, or makes an object that can be
// read, has the same identity, and is as valid as any that is written.
func FuzzPatch(f *testing.F) {
	f.Add(false, []byte(`{"spec":{"hosts":null},"metadata":{"labels":{"a":"b"}}}`))
	f.Add(false, []byte(`{"metadata":null,"status":{"observedGeneration":"1"}}`))
	f.Add(true, []byte(`[{"op":"test","path":"/spec/http/0/name","value":"split"},{"op":"replace","path":"/spec/http/0/route/1/weight","value":10}]`))
	f.Add(true, []byte(`[{"op":"copy","from":"/spec/http/0","path":"/spec/http/-"},{"op":"move","from":"/spec/hosts/0","path":"/spec/gateways"}]`))
	f.Add(true, []byte(`[{"op":"replace","path":"","value":null},{"op":"remove","path":"/spec/http/-1"},{"op":"add","path":"/spec/http/00","value":{}}]`))

	f.Fuzz(func(t *testing.T, operations bool, patch []byte) {
		store, reader, at := seeded(t)
		form := types.MergePatchType

		if operations {
			form = types.JSONPatchType
		}

		before := store.get(at.kind, at.key)

		after, err := store.update(at, func(before *object) (draft, error) {
			document, err := applyPatch(form, encode(at.kind, "v1", before.body), patch)
			if err != nil {
				return draft{}, err
			}

			d, _, err := reader.decode(document)

			return d, err
		})
		if err != nil {
			refused(t, err)

			return
		}

		if after.typed.GetUID() != before.typed.GetUID() || after.key != before.key {
			t.Errorf("another object: %s", after.body)
		}

		if _, _, err := reader.decode(encode(at.kind, "v1", after.body)); err != nil {
			t.Errorf("what was accepted is refused: %v: %s", err, after.body)
		}
	})
}

// FuzzDecode checks that whatever a client sends is refused as its fault, or becomes an object.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(seed))
	f.Add([]byte(`{"kind":"VirtualService","apiVersion":"networking.istio.io/v1","metadata":{"name":"a"},"spec":{"http":[null,{"mirrorPercent":1,"fault":{"delay":{"percent":-1}}}]}}`))
	f.Add([]byte(`{"kind":"VirtualService","apiVersion":"networking.istio.io/v1","metadata":{"generateName":"a-"},"spec":{"exportTo":["*"],"tls":[{"match":[{"sniHosts":["a"],"port":1e3}]}]},"status":{"validationMessages":[{"level":"ERROR"}]}}`))

	f.Fuzz(func(t *testing.T, body []byte) {
		store, reader, at := seeded(t)

		d, _, err := reader.decode(body)
		if err == nil {
			d.Meta.Name, d.Meta.ResourceVersion = "other", ""

			_, err = store.create(at, d)
		}

		if err != nil {
			refused(t, err)
		}
	})
}

// FuzzJournal checks that no file can do more than be refused.
func FuzzJournal(f *testing.F) {
	head, err := line(header{Format: format, Version: 5})
	if err != nil {
		f.Fatal(err)
	}

	store, _, at := seeded(f)
	written := store.get(at.kind, at.key)
	written.version = 6

	entry, err := line(recordOf(put(nil, written)))
	if err != nil {
		f.Fatal(err)
	}

	f.Add(append(head, entry...))
	f.Add(head)

	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := read(text, migrations())
		if err != nil {
			return
		}

		if c.size+c.torn != int64(len(text)) {
			t.Errorf("%d good and %d torn bytes of %d", c.size, c.torn, len(text))
		}

		store, err := Open(Config{})
		if err != nil {
			t.Fatal(err)
		}

		_ = store.replay(c)
	})
}
