package gateway

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc/metadata"

	contextv1 "github.com/serinhq/serin/gen/serin/context/v1"
	rolloutv1 "github.com/serinhq/serin/gen/serin/rollout/v1"
	"github.com/serinhq/serin/internal/fault"
	"github.com/serinhq/serin/internal/rpc"
)

// maxForced is that of TurnAccepted.forced_revisions.
const maxForced = 16

// liveTimeout limits asking which revisions are live.
const liveTimeout = 2 * time.Second

var revisionName = regexp.MustCompile(`^[0-9a-f]{12}$`)

// force writes into a turn's acceptance which revisions an operator wants to try. Users' headers were dropped before.
func (s *Service) force(ctx context.Context, principal Principal, owner string, request *contextv1.AppendRequest) error {
	values := metadata.ValueFromIncomingContext(ctx, rpc.HeaderRevision)
	if len(values) == 0 || principal.Role != RoleOperator {
		return nil
	}

	forced, err := parseForced(*s.agents.current.Load(), owner, strings.Join(values, ","))
	if err != nil {
		return err
	}

	if err := s.checkLive(ctx, forced); err != nil {
		return err
	}

	accepted := request.GetEvents()[0].GetTurnAccepted()
	accepted.ForcedRevisions = forced
	request.RequestDigest = digest(append([]string{accepted.GetText()}, forcedParts(forced)...)...)

	return nil
}

// checkLive refuses revisions that no process serves: their turns would wait until their deadline. Without an answer
// from the controller all pass, since conversations do not depend on it.
func (s *Service) checkLive(ctx context.Context, forced map[string]string) error {
	if s.cfg.Rollouts == nil {
		return nil
	}

	ctx, cancel := context.WithTimeout(ctx, liveTimeout)
	defer cancel()

	for _, agent := range slices.Sorted(maps.Keys(forced)) {
		got, err := s.cfg.Rollouts.GetRollout(ctx, &rolloutv1.GetRolloutRequest{Agent: agent})
		if err != nil {
			s.log.WarnContext(ctx, "a forced revision was not checked", "agent", agent, "error", err.Error())

			continue
		}

		if err := checkLive(got.GetRollout(), forced[agent]); err != nil {
			return err
		}
	}

	return nil
}

func checkLive(rollout *rolloutv1.Rollout, revision string) error {
	var live []string

	for _, known := range rollout.GetRevisions() {
		if known.GetRole() == "rejected" {
			continue
		}

		if known.GetRevision() == revision {
			return nil
		}

		live = append(live, known.GetRevision()+" ("+known.GetRole()+")")
	}

	return errForced("names %s, which is no live revision of %s; there are: %s",
		revision, rollout.GetAgent(), cmp.Or(strings.Join(live, ", "), "none"))
}

// forcedParts are the revisions in an order that does not depend on the header's.
func forcedParts(forced map[string]string) []string {
	parts := make([]string, 0, 2*len(forced))
	for _, agent := range slices.Sorted(maps.Keys(forced)) {
		parts = append(parts, agent, forced[agent])
	}

	return parts
}

// parseForced reads `<revision>`, which is the owner's, or `<agent>=<revision>`, separated by commas.
func parseForced(known agents, owner, header string) (map[string]string, error) {
	forced := map[string]string{}

	for entry := range strings.SplitSeq(header, ",") {
		agent, revision, named := strings.Cut(strings.TrimSpace(entry), "=")
		if !named {
			agent, revision = owner, agent
		}

		before, twice := forced[agent]
		_, exists := known.find(agent)

		switch {
		case !revisionName.MatchString(revision):
			return nil, errForced("must be a revision's short name, 12 hex digits in lower case, or agent=revision,agent=revision; %q is not",
				strings.TrimSpace(entry))
		case !exists && agent != owner:
			return nil, errForced("names %q, but there is no such agent; there are: %s", agent, known.names())
		case twice && before != revision:
			return nil, errForced("names two revisions of %s, %s and %s; a conversation keeps one", agent, before, revision)
		}

		forced[agent] = revision
	}

	if len(forced) > maxForced {
		return nil, errForced("names %d agents; at most %d are allowed", len(forced), maxForced)
	}

	return forced, nil
}

func errForced(format string, args ...any) error {
	return fault.Invalid(fault.Violation{Field: rpc.HeaderRevision, Message: fmt.Sprintf(format, args...)})
}
