package canary

import "time"

// unreadyLimit is how long a candidate may be without a ready process while the stable revision has one: the mesh's
// weights do not look at health.
const unreadyLimit = 3 * time.Second

// prepared reports whether the candidate can take traffic: it has a ready process, and the store does not refuse it.
func (d *decision) prepared() bool {
	return d.seen.Ready[d.state.Candidate].Ready > 0 && !d.state.pending(d.state.Candidate)
}

// watchReadiness takes note since when the candidate is without a ready process.
func (d *decision) watchReadiness() bool {
	since := time.Time{}

	if d.unready() {
		since = d.now
		if !d.state.UnreadySince.IsZero() {
			since = d.state.UnreadySince
		}
	}

	changed := !since.Equal(d.state.UnreadySince)
	d.state.UnreadySince = since

	return changed
}

// unready reports whether traffic goes to a candidate that has no ready process, and that is not so for all.
func (d *decision) unready() bool {
	return d.exposed() && d.seen.Ready[d.state.Candidate].Ready == 0 && d.seen.Ready[d.state.Stable].Ready > 0
}

// exposed reports whether conversations may be on the candidate.
func (d *decision) exposed() bool {
	switch d.state.Phase {
	case Progressing, Paused, Promoting:
		return d.state.Weight > 0 || d.evidence().Turns > 0
	case Idle, Preparing, Aborting, Succeeded, Failed:
	}

	return false
}

// abortUnready aborts, automatic or not, when the candidate was without a ready process for too long.
func (d *decision) abortUnready() bool {
	since := d.state.UnreadySince
	if since.IsZero() || d.now.Sub(since) < unreadyLimit {
		return false
	}

	d.reject(d.state.Candidate+" has had no ready process for "+unreadyLimit.String()+" while "+d.state.Stable+" has", false)

	return true
}
