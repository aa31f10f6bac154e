package istio

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// mark is what [IntentAnnotation] holds: the decision, and what Serin wrote for it.
type mark struct {
	Intent

	// Write counts Serin's writes to the object: no two marks are equal, so a test on the old one lets one writer win.
	Write int64 `json:"write"`
	// Owns describes Serin's part of the object as Serin wrote it. What differs from it is drift.
	Owns map[string]string `json:"owns,omitempty"`
	// Slots are the revisions in the adopted subsets.
	Slots map[string]string `json:"slots,omitempty"`

	// raw is the annotation as read; unreadable, that someone spoilt it.
	raw        *string
	unreadable bool
}

// readMark reads an object's mark; without one it is the zero mark.
func readMark(object metav1.Object) mark {
	raw, ok := object.GetAnnotations()[IntentAnnotation]
	if !ok {
		return mark{}
	}

	var m mark
	if json.Unmarshal([]byte(raw), &m) != nil || m.Stable == "" {
		return mark{raw: &raw, unreadable: true}
	}

	m.raw = &raw

	return m
}

// there reports whether the object carries a decision.
func (m mark) there() bool { return m.raw != nil && !m.unreadable }

// next is the mark of the write after m.
func (m mark) next(intent Intent, owns, slots map[string]string) mark {
	return mark{Intent: intent, Write: m.Write + 1, Owns: owns, Slots: slots}
}

// stale reports whether a routing must not be written over the mark. Of two decisions of the same number an abort wins.
func (m mark) stale(r Routing) bool {
	if !m.there() {
		return false
	}

	return newer(m.Intent, r.Intent) || forked(m.Intent, r.Intent) && (!r.abort() || m.abort())
}

func (m mark) abort() bool { return Routing{Intent: m.Intent}.abort() }

// drift says how what Serin owns differs from what the mark says of it.
func (m mark) drift(owns map[string]string) string {
	if !m.there() || m.Owns == nil {
		return ""
	}

	all := map[string]bool{}
	for part := range m.Owns {
		all[part] = true
	}

	for part := range owns {
		all[part] = true
	}

	var drift string

	for _, part := range slices.Sorted(maps.Keys(all)) {
		if is, was := owns[part], m.Owns[part]; is != was {
			drift = joined(drift, part+" is "+quoted(is)+", Serin wrote "+quoted(was))
		}
	}

	return drift
}

// led reports whether Serin led a pin to the revision when it last wrote.
func (m mark) led(revision string) bool {
	return slices.ContainsFunc(strings.Fields(m.Owns["pins"]), func(word string) bool {
		from, to, redirected := strings.Cut(word, ">")

		return to == revision || !redirected && from == revision
	})
}

func (m mark) String() string {
	var text strings.Builder

	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false) // people read it
	_ = encoder.Encode(m)

	return strings.TrimSpace(text.String())
}

func quoted(s string) string { return "[" + s + "]" }

// joined joins two texts that may be empty; a text is not joined to itself.
func joined(a, b string) string {
	switch {
	case a == "" || a == b:
		return b
	case b == "":
		return a
	default:
		return a + "; " + b
	}
}
