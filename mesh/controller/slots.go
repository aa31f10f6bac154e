package controller

import (
	"cmp"

	"github.com/serinhq/serin/mesh/canary"
	"github.com/serinhq/serin/mesh/istio"
)

// seats says in which hand-written subset the processes of each revision of an adopted agent are. The stable revision stays
// where the mesh has it, the candidate gets the other one, and whoever was there before leaves it: no two revisions share a
// subset.
func (a *agent) seats(state canary.State, before map[string]string) map[string]string {
	if !a.adopts() || state.Stable == "" {
		return nil
	}

	stable := cmp.Or(a.seatInMesh(state.Stable), before[state.Stable], istio.OtherSlot(before[state.Candidate]), istio.StableSlot)
	free := istio.OtherSlot(stable)
	seats := map[string]string{state.Stable: stable}

	for _, revision := range canary.Want(state).Workloads {
		if len(seats) == 1 && revision != state.Stable && (revision == state.Candidate || before[revision] == free) {
			seats[revision] = free
		}
	}

	return seats
}

// seatInMesh is the subset that the mesh has the stable revision in; empty if it does not say.
func (a *agent) seatInMesh(stable string) string {
	progress := a.mesh.look().progress
	if progress.Observed == nil || progress.Observed.Stable != stable {
		return ""
	}

	return progress.Slot
}
