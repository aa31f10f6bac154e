-- Times are nanoseconds since 1970, 0 where there is none. Messages (data, response, result) are serialised protos:
-- columns beside them are what is looked up. Only plain SQL: other databases get migrations of the same shape.

-- +goose Up
CREATE TABLE conversations (
    conversation_id TEXT    NOT NULL PRIMARY KEY,
    request_id      TEXT    NOT NULL UNIQUE,
    request_digest  TEXT    NOT NULL,
    tenant          TEXT    NOT NULL,
    user_name       TEXT    NOT NULL,
    agent           TEXT    NOT NULL,
    active_turn_id  TEXT    NOT NULL,
    created_at      INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX conversations_by_user ON conversations (tenant, user_name, conversation_id);
CREATE INDEX conversations_by_tenant ON conversations (tenant, conversation_id);

-- A conversation's version and time of update are those of its last event, so that most appends write no other row.
CREATE TABLE events (
    conversation_id TEXT    NOT NULL REFERENCES conversations (conversation_id),
    sequence        INTEGER NOT NULL,
    created_at      INTEGER NOT NULL,
    data            BLOB    NOT NULL, -- serin.event.v1.Event
    PRIMARY KEY (conversation_id, sequence)
) WITHOUT ROWID;

CREATE TABLE requests (
    conversation_id TEXT NOT NULL REFERENCES conversations (conversation_id),
    request_id      TEXT NOT NULL,
    digest          TEXT NOT NULL,
    response        BLOB NOT NULL, -- serin.context.v1.AppendResponse
    PRIMARY KEY (conversation_id, request_id)
) WITHOUT ROWID;

CREATE TABLE pins (
    conversation_id TEXT NOT NULL REFERENCES conversations (conversation_id),
    agent           TEXT NOT NULL,
    revision        TEXT NOT NULL,
    PRIMARY KEY (conversation_id, agent)
) WITHOUT ROWID;

CREATE TABLE turns (
    turn_id          TEXT    NOT NULL PRIMARY KEY,
    conversation_id  TEXT    NOT NULL REFERENCES conversations (conversation_id),
    agent            TEXT    NOT NULL,
    revision         TEXT    NOT NULL,
    status           INTEGER NOT NULL, -- serin.context.v1.TurnStatus
    lease_holder     TEXT    NOT NULL,
    lease_expires_at INTEGER NOT NULL,
    phase            INTEGER NOT NULL, -- 1 fresh, 2 executing, 3 answered
    waiting_since    INTEGER NOT NULL,
    cancel_by        TEXT    NOT NULL,
    cancel_reason    TEXT    NOT NULL,
    reserved_segment INTEGER NOT NULL,
    reserved_step    INTEGER NOT NULL,
    reserved_tokens  INTEGER NOT NULL,
    data             BLOB    NOT NULL  -- serin.context.v1.Turn
) WITHOUT ROWID;
CREATE INDEX turns_resumable ON turns (lease_expires_at, turn_id) WHERE status = 1;
CREATE INDEX turns_running ON turns (agent, revision) WHERE status = 1;

CREATE TABLE calls (
    conversation_id  TEXT    NOT NULL REFERENCES conversations (conversation_id),
    call_id          TEXT    NOT NULL,
    turn_id          TEXT    NOT NULL REFERENCES turns (turn_id),
    tool             TEXT    NOT NULL,
    arguments_digest TEXT    NOT NULL,
    agent            TEXT    NOT NULL,
    revision         TEXT    NOT NULL,
    segment          INTEGER NOT NULL,
    step             INTEGER NOT NULL,
    state            INTEGER NOT NULL, -- 1 proposed, 2 claimed, 3 unknown, 4 completed
    idempotent       INTEGER NOT NULL,
    holder           TEXT    NOT NULL,
    expires_at       INTEGER NOT NULL,
    approval_asked   INTEGER NOT NULL,
    approval         INTEGER NOT NULL, -- serin.event.v1.Decision
    outcome_asked    INTEGER NOT NULL,
    outcome          INTEGER NOT NULL, -- serin.event.v1.Decision
    result           BLOB,             -- serin.event.v1.ToolResult
    result_sequence  INTEGER NOT NULL,
    PRIMARY KEY (conversation_id, call_id)
) WITHOUT ROWID;

CREATE TABLE withdrawals (
    agent        TEXT    NOT NULL,
    revision     TEXT    NOT NULL,
    attempt      INTEGER NOT NULL,
    replacement  TEXT    NOT NULL,
    cause        TEXT    NOT NULL,
    fenced       INTEGER NOT NULL,
    fenced_turns INTEGER NOT NULL,
    position     INTEGER NOT NULL,
    withdrawn_at INTEGER NOT NULL,
    PRIMARY KEY (agent, revision, attempt)
) WITHOUT ROWID;

CREATE TABLE checkpoints (
    conversation_id TEXT    NOT NULL PRIMARY KEY REFERENCES conversations (conversation_id),
    sequence        INTEGER NOT NULL,
    format          INTEGER NOT NULL,
    data            BLOB    NOT NULL
);

CREATE TABLE shared_state (
    scope     TEXT    NOT NULL,
    state_key TEXT    NOT NULL,
    value     BLOB    NOT NULL,
    version   INTEGER NOT NULL,
    PRIMARY KEY (scope, state_key)
);

-- +goose Down
DROP TABLE shared_state;
DROP TABLE checkpoints;
DROP TABLE withdrawals;
DROP TABLE calls;
DROP TABLE turns;
DROP TABLE pins;
DROP TABLE requests;
DROP TABLE events;
DROP TABLE conversations;
