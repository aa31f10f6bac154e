-- Times are nanoseconds since 1970. Records and snapshots are JSON: columns beside them are what is looked up.

-- +goose Up
CREATE TABLE agents (
    agent TEXT NOT NULL PRIMARY KEY,
    data  TEXT NOT NULL -- controller.Record
) WITHOUT ROWID;

CREATE TABLE history (
    id        INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    agent     TEXT    NOT NULL,
    time      INTEGER NOT NULL,
    actor     TEXT    NOT NULL,
    action    TEXT    NOT NULL,
    reason    TEXT    NOT NULL,
    attempt   INTEGER NOT NULL,
    stable    TEXT    NOT NULL, -- after it
    candidate TEXT    NOT NULL, -- after it
    before    TEXT    NOT NULL, -- controller.Snapshot
    after     TEXT    NOT NULL  -- controller.Snapshot
);
CREATE INDEX history_by_agent ON history (agent, id);

CREATE TABLE revisions (
    agent       TEXT NOT NULL,
    short       TEXT NOT NULL,
    revision    TEXT NOT NULL,
    declaration TEXT NOT NULL,
    PRIMARY KEY (agent, revision)
) WITHOUT ROWID;

CREATE TABLE tool_servers (
    place       INTEGER NOT NULL PRIMARY KEY,
    declaration TEXT    NOT NULL
);

-- Numbers are good together with the position only: both are written in one transaction.
CREATE TABLE numbers (
    agent TEXT NOT NULL PRIMARY KEY,
    data  BLOB NOT NULL
) WITHOUT ROWID;

CREATE TABLE numbers_position (
    only     INTEGER NOT NULL PRIMARY KEY CHECK (only = 1),
    position INTEGER NOT NULL
);

-- +goose Down
DROP TABLE numbers_position;
DROP TABLE numbers;
DROP TABLE tool_servers;
DROP TABLE revisions;
DROP TABLE history;
DROP TABLE agents;
