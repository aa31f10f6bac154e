package istio

import (
	"encoding/json"
	"fmt"
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
	// Digest is of what the decision says beside the Intent; marks of Serin's first release have none.
	Digest string `json:"digest,omitempty"`
	// Withdrawn are the revisions that were withdrawn and not reinstated since, latest last, each as "revision>successor".
	Withdrawn string `json:"withdrawn,omitempty"`

	// raw is the annotation as read; spoilt, that it is not what Serin wrote: then the rest is what the Router remembers.
	raw    *string
	spoilt bool
}

// mostWithdrawn is how many withdrawals a mark remembers: more than an engine has under way, so that the latest stay known
// after their routes are gone.
const mostWithdrawn = 10

// readMark reads an object's mark; without one it is the zero mark.
func readMark(object metav1.Object) mark {
	raw, ok := object.GetAnnotations()[IntentAnnotation]
	if !ok {
		return mark{}
	}

	var m mark
	if json.Unmarshal([]byte(raw), &m) != nil || m.Stable == "" {
		return mark{raw: &raw, spoilt: true}
	}

	m.raw = &raw

	return m
}

// there reports whether the decision that the object carries is known.
func (m mark) there() bool { return m.Stable != "" }

// next is the mark of the write after m.
func (m mark) next(r Routing, owns, slots map[string]string) mark {
	return mark{
		Intent: r.Intent, Write: m.Write + 1, Owns: owns, Slots: slots, Digest: r.digest(), Withdrawn: m.withdrawnAfter(r),
	}
}

// stale says why a routing must not be written over the mark; empty if it may. Of two decisions of the same number an
// abort wins.
func (m mark) stale(r Routing) string {
	switch {
	case !m.there():
		return ""
	case newer(m.Intent, r.Intent), m.forked(r) && (!r.abort() || m.abort()):
		return key(&m.Intent)
	default:
		return m.final(r)
	}
}

// final says which withdrawal the routing takes no note of. Within an attempt withdrawals are final: only a new attempt
// reinstates a revision. A caller that does not know where its calls were led has lost its memory, took the attempt from
// the objects, and runs nothing there: it has to be believed.
func (m mark) final(r Routing) string {
	for _, p := range m.withdrawn() {
		if m.Attempt == r.Intent.Attempt && r.leads(p.revision) && r.knows(p.to) {
			return fmt.Sprintf("%s withdrew %s", key(&m.Intent), p.revision)
		}
	}

	return ""
}

// undone says whether the routing's stable revision is one that was withdrawn. That is final in any attempt: one that is
// reinstated is a candidate first, until the objects carry it.
func (m mark) undone(r Routing) string {
	for _, p := range m.withdrawn() {
		if p.revision == r.Intent.Stable && r.Intent.Attempt > m.Attempt {
			return fmt.Sprintf("%s withdrew %s", key(&m.Intent), p.revision)
		}
	}

	return ""
}

// forked reports whether the mark and the routing are two decisions of the same number: two leaders made them.
func (m mark) forked(r Routing) bool {
	same := m.Intent == r.Intent && (m.Digest == "" || m.Digest == r.digest())

	return m.Attempt == r.Intent.Attempt && m.Seq == r.Intent.Seq && !same
}

// decided reports whether the mark carries the routing's decision.
func (m mark) decided(r Routing) bool {
	return m.there() && !m.spoilt && m.Intent == r.Intent && (m.Digest == "" || m.Digest == r.digest())
}

func (m mark) abort() bool { return Routing{Intent: m.Intent}.abort() }

// withdrawn are the revisions that were withdrawn and not reinstated since, and who serves in their place. Marks of the
// first release tell it by the pins, which may lag behind a reinstatement.
func (m mark) withdrawn() []pin {
	words := m.Withdrawn
	if m.Digest == "" {
		words = m.Owns["pins"]
	}

	var all []pin

	for word := range strings.FieldsSeq(words) {
		from, to, redirected := strings.Cut(word, ">")
		to, _, _ = strings.Cut(to, "(")

		if redirected && from != m.Stable && (m.Digest != "" || from != m.Candidate) {
			all = append(all, pin{from, to})
		}
	}

	return all
}

func (m mark) withdrew(revision string) bool {
	return slices.ContainsFunc(m.withdrawn(), func(p pin) bool { return p.revision == revision })
}

// redirects are the withdrawn revisions with who serves in their place.
func (m mark) redirects() map[string]string {
	all := map[string]string{}
	for _, p := range m.withdrawn() {
		all[p.revision] = p.to
	}

	return all
}

// missing says that the annotation was spoilt, or taken away from an object that has parts of Serin's.
func (m mark) missing(parts bool) string {
	switch {
	case m.raw != nil && m.spoilt:
		return "annotation " + IntentAnnotation + " is " + quoted(*m.raw) + ", which Serin did not write"
	case m.raw == nil && parts:
		return "annotation " + IntentAnnotation + " is gone"
	default:
		return ""
	}
}

// withdrawnAfter is what is withdrawn once the routing is written.
func (m mark) withdrawnAfter(r Routing) string {
	all := slices.DeleteFunc(m.withdrawn(), func(p pin) bool { return r.leads(p.revision) || r.withdrawn(p.revision) })

	for _, revision := range r.redirected() {
		all = append(all, pin{revision, r.successor(revision)})
	}

	words := make([]string, 0, len(all))
	for _, p := range all[max(0, len(all)-mostWithdrawn):] {
		words = append(words, p.revision+">"+p.to)
	}

	return strings.Join(words, " ")
}

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

// named reports whether Serin's pins or anchors led to the revision when it last wrote: proxies know its subset.
func (m mark) named(revision string) bool {
	return m.led(revision) || slices.Contains(strings.Fields(m.Owns["anchors"]), revision)
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
