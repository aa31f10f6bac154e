package relational

import (
	"maps"
	"slices"
	"strings"

	"github.com/serinhq/serin/services/contextstore"
)

const (
	pinnedRevisions = `SELECT revision, COUNT(*), 0, 0 FROM pins WHERE agent = ? GROUP BY revision`

	// runningRevisions looks at segments that began and have not ended, be they lost.
	runningRevisions = `SELECT revision, 0, COUNT(*) FILTER (WHERE lease_holder <> ''),
		MAX(CASE WHEN phase = 2 THEN began_at ELSE 0 END) FROM turns WHERE status = 1 AND agent = ? AND revision <> '' GROUP BY revision`

	// endedRevisions goes from one revision's last outcome that is no opinion to the next one's, without a look at the
	// others.
	endedRevisions = `WITH RECURSIVE ran (revision) AS (
			SELECT (SELECT MIN(revision) FROM outcomes WHERE agent = ? AND revision > '')
			UNION ALL
			SELECT (SELECT MIN(revision) FROM outcomes WHERE agent = ? AND revision > ran.revision) FROM ran
				WHERE ran.revision IS NOT NULL
		)
		SELECT revision, 0, 0, COALESCE((SELECT ended_at FROM outcomes o WHERE o.agent = ? AND o.revision = ran.revision
			AND o.kind NOT IN (7, 8) ORDER BY o.position DESC LIMIT 1), 0) FROM ran WHERE revision IS NOT NULL`
)

// RevisionUses returns those of an agent's revisions that are pinned or that segments ran on, by name.
func (r Rows) RevisionUses(agent string) ([]contextstore.RevisionUse, error) {
	uses := map[string]contextstore.RevisionUse{}

	for _, query := range []string{pinnedRevisions, runningRevisions, endedRevisions} {
		args := slices.Repeat([]any{agent}, strings.Count(query, "?"))
		if err := r.addUses(uses, query, args); err != nil {
			return nil, err
		}
	}

	sorted := make([]contextstore.RevisionUse, 0, len(uses))
	for _, revision := range slices.Sorted(maps.Keys(uses)) {
		sorted = append(sorted, uses[revision])
	}

	return sorted, nil
}

// addUses adds what one query says to what is known.
func (r Rows) addUses(uses map[string]contextstore.RevisionUse, query string, args []any) error {
	return r.db.Each(query, args, func(scan Scan) (bool, error) {
		var (
			found contextstore.RevisionUse
			last  int64
		)

		if err := scan(&found.Revision, &found.Pinned, &found.Running, &last); err != nil {
			return false, err
		}

		use := uses[found.Revision]
		use.Revision = found.Revision
		use.Pinned += found.Pinned
		use.Running += found.Running

		if active := at(last); active.After(use.LastActive) {
			use.LastActive = active
		}

		uses[found.Revision] = use

		return true, nil
	})
}
