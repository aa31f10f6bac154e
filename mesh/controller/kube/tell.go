package kube

import (
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/serinhq/serin/mesh/api/v1alpha1"
	"github.com/serinhq/serin/mesh/controller"
)

// warnings are the actions that someone should look at.
var warnings = []string{"abort", "undo", "reject", "retire"}

// tell makes an event of each decision, once it is kept: none of them twice, and none of what was not.
func (s *Store) tell(agent *v1alpha1.Agent, entries []controller.HistoryEntry) {
	if agent == nil {
		return
	}

	for _, entry := range entries {
		kind := corev1.EventTypeNormal
		if slices.Contains(warnings, entry.Action) {
			kind = corev1.EventTypeWarning
		}

		s.config.Recorder.Eventf(agent, nil, kind, reasonOf(entry.Action), entry.Action, "%s (%s, attempt %d)",
			entry.Reason, entry.Actor, entry.Attempt)
	}
}

// reasonOf writes an action as events have their reasons: set-weight is SetWeight.
func reasonOf(action string) string {
	reason, upper := []byte{}, true

	for _, letter := range []byte(action) {
		switch {
		case letter == '-':
			upper = true
		case upper && letter >= 'a' && letter <= 'z':
			reason, upper = append(reason, letter-'a'+'A'), false
		default:
			reason, upper = append(reason, letter), false
		}
	}

	return string(reason)
}
