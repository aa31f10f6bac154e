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

// degradeVariable names checks whose failure is told and leaves the process ready; degradable are those that it may name.
// Without an identity or a listener nothing goes.
const degradeVariable = "SERIN_HEALTH_DEGRADE"

var degradable = []string{"database", "llm", "redis", rpc.Context, "tools"}

// checks are all of a room: its identity, that the mesh lets its server take connections, and its own.
func (w *workload) checks(room *room, server *rpc.Server) ([]health.Check, error) {
	checks := w.identityChecks()
	if server != nil {
		checks = append(checks, health.Check{Name: "listener", TTL: healthTTL, Func: server.CheckServing})
	}

	degraded, err := degradedBy(w.env)
	if err != nil {
		return nil, err
	}

	checks = append(checks, room.checks...)
	for i := range checks {
		checks[i].Informative = checks[i].Informative || slices.Contains(degraded, checks[i].Name)
	}

	return checks, nil
}

// degradedBy are the checks that the environment names. Not every process has each of them.
func degradedBy(env *Env) ([]string, error) {
	told := strings.FieldsFunc(env.get(degradeVariable), func(r rune) bool { return r == ',' || r == ' ' })

	for _, name := range told {
		if !slices.Contains(degradable, name) {
			return nil, usageErrorf("%s %q: what a process can go without is %s", degradeVariable, name, strings.Join(degradable, ", "))
		}
	}

	return told, nil
}
