package controller

import (
	"maps"
	"slices"
	"testing"
)

func rosterOf(handoffs map[string][]string) roster {
	all := roster{members: map[string]member{}}
	for agent, to := range handoffs {
		all.members[agent] = member{revisions: []runnable{{handoffs: to}}}
	}

	return all
}

func TestCallersAreTheUnionOverRevisions(t *testing.T) {
	now := rosterOf(map[string][]string{"triage": {"billing", "gone"}, "billing": {"scheduling"}, "scheduling": nil})
	before := rosterOf(map[string][]string{"triage": {"scheduling"}, "sales": {"billing", "triage"}})

	for name, test := range map[string]struct {
		rosters []roster
		want    map[string][]string
	}{
		"now":             {[]roster{now}, map[string][]string{"triage": {}, "billing": {"triage"}, "scheduling": {"billing"}}},
		"now and before":  {[]roster{now, before}, map[string][]string{"triage": {"sales"}, "billing": {"sales", "triage"}, "scheduling": {"billing", "triage"}}},
		"nothing at once": {[]roster{{}, now}, map[string][]string{}},
	} {
		if got := callersOf(test.rosters...); !maps.EqualFunc(got, test.want, slices.Equal) {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
}
