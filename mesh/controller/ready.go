package controller

import "slices"

// lacks says what the agent needs to serve; empty if it does, or is not declared any more.
func (a *agent) lacks() string {
	record := a.current()
	stable, mesh := record.State.Stable, a.mesh.look()
	held := mesh.progress.Drift != "" && slices.Contains(mesh.progress.Routed, stable)

	switch {
	case record.Declaration == "" && !record.RemovedAt.IsZero():
		return ""
	case stable == "":
		return "its declaration was not taken yet"
	case !mesh.done && !held:
		return "its routes were not written yet"
	case readiness(a.shared.statuses.of(a.name), []string{stable})[stable].Ready == 0:
		return "revision " + stable + " is not ready"
	default:
		return ""
	}
}
