package xds

import (
	"bytes"
	"strings"
	"sync"
	"testing"

	networkingv1 "istio.io/client-go/pkg/apis/networking/v1"
	securityv1 "istio.io/client-go/pkg/apis/security/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	k8stypes "k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"github.com/serinhq/serin/mesh/xds/objects"
)

// parse reads YAML documents of Istio's kinds.
func parse(tb testing.TB, text string) objects.Snapshot {
	tb.Helper()

	var snapshot objects.Snapshot

	for document := range strings.SplitSeq(text, "\n---\n") {
		if strings.TrimSpace(document) == "" {
			continue
		}

		if err := parseInto(&snapshot, []byte(document)); err != nil {
			tb.Fatalf("%v in\n%s", err, document)
		}
	}

	return snapshot
}

func parseInto(snapshot *objects.Snapshot, document []byte) error {
	var meta metav1.TypeMeta
	if err := yaml.Unmarshal(document, &meta); err != nil {
		return err
	}

	switch meta.Kind {
	case objects.VirtualService:
		return appendTo(&snapshot.VirtualServices, &networkingv1.VirtualService{}, document)
	case objects.DestinationRule:
		return appendTo(&snapshot.DestinationRules, &networkingv1.DestinationRule{}, document)
	case objects.ServiceEntry:
		return appendTo(&snapshot.ServiceEntries, &networkingv1.ServiceEntry{}, document)
	case objects.WorkloadEntry:
		return appendTo(&snapshot.WorkloadEntries, &networkingv1.WorkloadEntry{}, document)
	case objects.AuthorizationPolicy:
		return appendTo(&snapshot.AuthorizationPolicies, &securityv1.AuthorizationPolicy{}, document)
	default:
		return appendTo(&snapshot.PeerAuthentications, &securityv1.PeerAuthentication{}, document)
	}
}

func appendTo[T metav1.Object](list *[]T, object T, document []byte) error {
	if err := yaml.Unmarshal(document, object); err != nil {
		return err
	}

	if object.GetNamespace() == "" {
		object.SetNamespace("default")
	}

	*list = append(*list, object)

	return nil
}

// memory is a store that tests write into.
type memory struct {
	mu       sync.Mutex
	snapshot objects.Snapshot
	changed  chan struct{}
	status   map[string]objects.Condition
}

func newMemory(snapshot objects.Snapshot) *memory {
	return &memory{snapshot: snapshot, changed: make(chan struct{}), status: map[string]objects.Condition{}}
}

func (m *memory) Snapshot() objects.Snapshot {
	m.mu.Lock()
	defer m.mu.Unlock()

	return m.snapshot
}

func (m *memory) Changed() <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()

	return m.changed
}

func (m *memory) SetStatus(kind, _, name string, generation int64, conditions ...objects.Condition) error {
	m.mu.Lock()
	defer m.mu.Unlock()

	for _, condition := range conditions {
		if condition.Type == Reconciled {
			m.status[kind+" "+name+" "+string(rune('0'+generation))] = condition
		}
	}

	return nil
}

// set replaces everything. Objects whose text changed get the next generation, as a store would give them.
func (m *memory) set(tb testing.TB, text string) {
	tb.Helper()

	next := parse(tb, text)

	m.mu.Lock()
	defer m.mu.Unlock()

	before := map[Ref]metav1.Object{}
	for _, object := range all(m.snapshot) {
		before[refOf(object)] = object
	}

	for _, object := range all(next) {
		object.SetUID(k8stypes.UID(refOf(object).String()))
		object.SetGeneration(1)

		if old := before[refOf(object)]; old != nil {
			object.SetGeneration(old.GetGeneration())

			if !sameSpec(tb, old, object) {
				object.SetGeneration(old.GetGeneration() + 1)
			}
		}
	}

	next.Version = m.snapshot.Version + 1
	m.snapshot = next
	close(m.changed)
	m.changed = make(chan struct{})
}

func sameSpec(tb testing.TB, a, b metav1.Object) bool {
	tb.Helper()

	return bytes.Equal(specOf(tb, a), specOf(tb, b))
}

func specOf(tb testing.TB, object metav1.Object) []byte {
	tb.Helper()

	text, err := yaml.Marshal(object)
	if err != nil {
		tb.Fatal(err)
	}

	var parsed map[string]any
	if err := yaml.Unmarshal(text, &parsed); err != nil {
		tb.Fatal(err)
	}

	spec, err := yaml.Marshal(parsed["spec"])
	if err != nil {
		tb.Fatal(err)
	}

	return spec
}

// reconciled is the condition Reconciled of an object's generation, empty if there is none.
func (m *memory) reconciled(object string) objects.Condition {
	m.mu.Lock()
	defer m.mu.Unlock()

	return m.status[object]
}
