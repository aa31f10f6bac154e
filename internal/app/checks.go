package app

import (
	"slices"
	"strings"
	"time"

	"github.com/serinhq/serin/internal/health"
	"github.com/serinhq/serin/internal/rpc"
)

const (
	// healthTTL keeps a probe every few milliseconds, as at start, from becoming a load.
	healthTTL = 200 * time.Millisecond
	// dependencyGrace is how long what others provide may be away before a process is not ready for that: all processes
	// that need it would leave at once, and the next second they would be back.
	dependencyGrace = 2 * time.Second
)

// degradeVariable names checks whose failure is told and leaves the process ready.
const degradeVariable = "SERIN_HEALTH_DEGRADE"

// checks are all of a room: its identity, that the mesh lets its server take connections, and its own.
func (w *workload) checks(room *room, server *rpc.Server) ([]health.Check, error) {
	checks := w.identityChecks()
	if server != nil {
		checks = append(checks, health.Check{Name: "listener", TTL: healthTTL, Func: server.CheckServing})
	}

	return w.degrade(append(checks, room.checks...))
}

// degrade has those checks be told only that the environment names. Without an identity or a listener nothing goes, so
// these can't be among them; nor can what this process does not check, which is most likely a slip of the pen.
func (w *workload) degrade(checks []health.Check) ([]health.Check, error) {
	told := strings.FieldsFunc(w.env.get(degradeVariable), func(r rune) bool { return r == ',' || r == ' ' })
	if len(told) == 0 {
		return checks, nil
	}

	possible := []string{}

	for i, check := range checks {
		if check.Name == "identity" || check.Name == "listener" {
			continue
		}

		possible = append(possible, check.Name)
		checks[i].Informative = check.Informative || slices.Contains(told, check.Name)
	}

	for _, name := range told {
		if !slices.Contains(possible, name) {
			return nil, usageErrorf("%s %q: this process can go without: %s", degradeVariable, name, strings.Join(possible, ", "))
		}
	}

	return checks, nil
}
