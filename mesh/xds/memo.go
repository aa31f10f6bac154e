package xds

import (
	"fmt"
	"strconv"

	networkingv1 "istio.io/client-go/pkg/apis/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// memo remembers what was made from which versions of which objects, as long as it is asked for in each round.
type memo[T any] struct{ last, now map[string]T }

func (m *memo[T]) get(key string, build func() T) T {
	value, ok := m.now[key]
	if ok {
		return value
	}

	if value, ok = m.last[key]; !ok {
		value = build()
	}

	if m.now == nil {
		m.now = map[string]T{}
	}

	m.now[key] = value

	return value
}

// turn ends a round.
func (m *memo[T]) turn() { m.last, m.now = m.now, nil }

// stamp names a version of an object: everything that its translation can depend on.
func stamp(object metav1.Object) string {
	if object.GetUID() == "" { // not from a store
		return fmt.Sprintf("%p;", object)
	}

	return string(object.GetUID()) + "/" + strconv.FormatInt(object.GetGeneration(), 10) + ";"
}

// ready reports whether a workload is to get requests.
func ready(entry *networkingv1.WorkloadEntry) bool {
	return entry.GetAnnotations()[ReadyAnnotation] != "false"
}
