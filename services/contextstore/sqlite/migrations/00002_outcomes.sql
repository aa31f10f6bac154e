-- +goose Up
-- Every query has its index. Statistics of a small database would only make a large one be scanned.
DROP TABLE IF EXISTS sqlite_stat1;
DROP TABLE IF EXISTS sqlite_stat4;

ALTER TABLE turns ADD COLUMN began_at INTEGER NOT NULL DEFAULT 0; -- when the tally of the segment starts
ALTER TABLE turns ADD COLUMN tally BLOB NOT NULL DEFAULT x''; -- serin.context.v1.Outcome
ALTER TABLE turns ADD COLUMN forced BLOB NOT NULL DEFAULT x''; -- serin.event.v1.TurnAccepted, forced_revisions only

-- What segments came to. The newest row is never deleted, so positions only grow.
CREATE TABLE outcomes (
    position INTEGER PRIMARY KEY,
    agent    TEXT    NOT NULL,
    revision TEXT    NOT NULL,
    kind     INTEGER NOT NULL, -- serin.context.v1.Outcome.Kind
    ended_at INTEGER NOT NULL,
    data     BLOB    NOT NULL  -- serin.context.v1.Outcome without its position
);
CREATE INDEX outcomes_by_revision ON outcomes (agent, revision, position);
CREATE INDEX pins_by_revision ON pins (agent, revision);

-- +goose Down
DROP INDEX pins_by_revision;
DROP TABLE outcomes;
ALTER TABLE turns DROP COLUMN forced;
ALTER TABLE turns DROP COLUMN tally;
ALTER TABLE turns DROP COLUMN began_at;
