package controller

// lacks says what the agent needs to serve; empty if it does, or is not declared any more.
func (a *agent) lacks() string {
	record := a.current()
	stable := record.State.Stable

	switch {
	case record.Declaration == "" && !record.RemovedAt.IsZero():
		return ""
	case stable == "":
		return "its declaration was not taken yet"
	case !a.mesh.look().done:
		return "its routes were not written yet"
	case readiness(a.shared.statuses.of(a.name), []string{stable})[stable].Ready == 0:
		return "revision " + stable + " is not ready"
	default:
		return ""
	}
}
