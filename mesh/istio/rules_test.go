package istio

import (
	"net/http"
	"slices"
	"strings"

	networking "istio.io/client-go/pkg/apis/networking/v1"
)

// view is what the rules look at: read from the objects without the code that is tested.
type view struct {
	pins    map[string]string
	anchors []string
	split   map[string]int
	sum     int
	subsets []string
	// named are all subsets of revisions that any route names.
	named map[string]bool
}

func viewOf(service *networking.VirtualService, rule *networking.DestinationRule) view {
	v := view{pins: map[string]string{}, split: map[string]int{}, named: map[string]bool{}}

	if service != nil {
		for _, route := range service.Spec.GetHttp() {
			for _, d := range route.GetRoute() {
				revision, ours := strings.CutPrefix(d.GetDestination().GetSubset(), "r-")
				if !ours {
					continue
				}

				v.named[revision] = true

				switch name := route.GetName(); {
				case name == "split":
					v.split[revision] = int(d.GetWeight())
				case strings.HasPrefix(name, "pin-"):
					v.pins[name[4:]] = revision
				case strings.HasPrefix(name, "anchor-"):
					v.anchors = append(v.anchors, revision)
				}
			}

			if route.GetName() == "split" {
				for _, d := range route.GetRoute() {
					v.sum += int(d.GetWeight())
				}
			}
		}
	}

	if rule != nil {
		for _, s := range rule.Spec.GetSubsets() {
			if revision, ours := strings.CutPrefix(s.GetName(), "r-"); ours {
				v.subsets = append(v.subsets, revision)
			}
		}
	}

	return v
}

// leads are the revisions that traffic is led to.
func (v view) leads() map[string]bool {
	leads := map[string]bool{}

	for _, to := range v.pins {
		leads[to] = true
	}

	for revision, weight := range v.split {
		if weight > 0 {
			leads[revision] = true
		}
	}

	return leads
}

// check holds the rules against one write that Serin made.
func (m *model) check(method, path string) {
	service, rule := m.service, m.rule
	m.snapshot()

	before, after := viewOf(service, rule), viewOf(m.service, m.rule)
	routes := strings.Contains(path, "virtualservices")

	if method == http.MethodPatch {
		if was, is := foreignOf(service, rule), foreignOf(m.service, m.rule); was != is {
			m.fail("a write changed what is not Serin's:\n%s\n%s", was, is)
		}
	}

	if !m.excused && m.taken != "" {
		m.writes++
		m.checkBack(before, after)
	}

	if routes && m.service != nil && after.sum != 100 && (after.sum != 0 || len(after.pins) > 0) && !m.excused && !m.drifting {
		m.fail("the split sums up to %d", after.sum)
	}

	if m.excused {
		m.noteFinal()

		return
	}

	for revision := range after.named {
		if !slices.Contains(after.subsets, revision) {
			m.fail("%s %s: a route names subset r-%s, which is not there", method, path, revision)
		}
	}

	m.checkMark(service, after)
	m.checkFinal()
	m.checkOrder(method, before, after)
}

func (m *model) checkBack(before, after view) {
	led := before.pins[m.taken] != "" && after.pins[m.taken] != m.current.Intent.Stable

	if m.writes == 1 && (after.leads()[m.taken] || led) {
		m.fail("the first write of the way back leaves traffic on %s", m.taken)
	}
}

// checkFinal checks that no decision leads to what the objects once withdrew, but a new attempt at it.
func (m *model) checkFinal() {
	if m.carried() {
		for _, revision := range append(slices.Clone(m.writing.Live), m.writing.Intent.Stable) {
			attempt, final := m.final[revision]
			if final && !m.writing.withdrawn(revision) && (attempt == m.writing.Intent.Attempt || revision == m.writing.Intent.Stable) {
				m.fail("attempt %d withdrew %s, to which decision %+v leads", attempt, revision, *m.writing)
			}
		}
	}

	m.noteFinal()
}

// noteFinal remembers what the decision that the objects carry withdraws, and what it leads to again.
func (m *model) noteFinal() {
	if !m.carried() {
		return
	}

	for _, revision := range append(slices.Clone(m.writing.Live), m.writing.Intent.Stable) {
		delete(m.final, revision)
	}

	for revision := range m.writing.Redirects {
		m.final[revision] = m.writing.Intent.Attempt
	}
}

// carried reports whether the objects carry the decision that a leader works on.
func (m *model) carried() bool {
	return m.service != nil && m.writing != nil && readMark(m.service).decided(*m.writing)
}

// checkMark checks that decisions only move forward, and that what they withdrew has nothing left.
func (m *model) checkMark(service *networking.VirtualService, after view) {
	if m.service == nil || !readMark(m.service).there() {
		return
	}

	is := readMark(m.service).Intent
	if service != nil && readMark(service).there() && newer(readMark(service).Intent, is) {
		m.fail("decision %+v was written over %+v", is, readMark(service).Intent)
	}

	if m.writing == nil || !readMark(m.service).decided(*m.writing) {
		return
	}

	for withdrawn := range m.writing.Redirects {
		if after.split[withdrawn] > 0 || after.pins[withdrawn] == withdrawn {
			m.fail("decision %+v withdrew %s, which has traffic", is, withdrawn)
		}
	}
}

// checkOrder checks that proxies know what they are led to before they are led there, and that nothing goes that they
// may still use.
func (m *model) checkOrder(method string, before, after view) {
	proxies := viewOf(m.proxyService, m.proxyRule)

	for revision := range after.leads() {
		known := slices.Contains(proxies.anchors, revision) && slices.Contains(before.anchors, revision)
		if method == http.MethodPost {
			known = slices.Contains(proxies.subsets, revision)
		}

		if !before.leads()[revision] && !known {
			m.fail("traffic is led to %s, whose anchor has not reached every proxy", revision)
		}
	}

	for _, revision := range after.anchors {
		if !slices.Contains(before.anchors, revision) && !slices.Contains(proxies.subsets, revision) {
			m.fail("anchor of %s, whose subset has not reached every proxy", revision)
		}
	}

	for _, revision := range before.subsets {
		if !slices.Contains(after.subsets, revision) && (after.named[revision] || proxies.named[revision]) {
			m.fail("subset of %s goes while proxies may use it", revision)
		}
	}
}
