-- The tables are those of the SQLite store: times are nanoseconds since 1970, 0 where there is none; messages (data,
-- response, result) are serialised protos, and columns beside them are what is looked up. Names sort by their bytes.
--
-- What belongs to a tenant says whose it is, and is seen and written only by transactions of that tenant, or by those
-- that say that they are about all: row-level security, also for the tables' owner. Rows take their tenant from the
-- transaction. There is no foreign key from events and requests: whoever writes them holds the conversation's lock and
-- has seen its row, and a key would lock that row once more for each. The policies are written as CASE because of how
-- the planner guesses: that half of the rows are seen, so that it steps into an index instead of reading a whole log.
--
-- Migrations only add: the release before runs on the new schema. One that can't raises serin_schema.runs_from.

-- +goose Up
CREATE TABLE serin_schema (
    runs_from BIGINT NOT NULL -- the oldest schema version whose release runs on this schema
);
INSERT INTO serin_schema (runs_from) VALUES (1);

CREATE TABLE conversations (
    conversation_id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    request_id      TEXT COLLATE "C" NOT NULL UNIQUE,
    request_digest  TEXT             NOT NULL,
    tenant          TEXT COLLATE "C" NOT NULL,
    user_name       TEXT COLLATE "C" NOT NULL,
    agent           TEXT COLLATE "C" NOT NULL,
    active_turn_id  TEXT COLLATE "C" NOT NULL,
    created_at      BIGINT           NOT NULL
);
CREATE INDEX conversations_by_user ON conversations (tenant, user_name, conversation_id);
CREATE INDEX conversations_by_tenant ON conversations (tenant, conversation_id);

CREATE TABLE events (
    conversation_id TEXT COLLATE "C" NOT NULL,
    sequence        BIGINT           NOT NULL,
    created_at      BIGINT           NOT NULL,
    data            BYTEA            NOT NULL, -- serin.event.v1.Event
    tenant          TEXT COLLATE "C" NOT NULL DEFAULT COALESCE(current_setting('serin.tenant', true), ''),
    PRIMARY KEY (conversation_id, sequence)
);

CREATE TABLE requests (
    conversation_id TEXT COLLATE "C" NOT NULL,
    request_id      TEXT COLLATE "C" NOT NULL,
    digest          TEXT             NOT NULL,
    response        BYTEA            NOT NULL, -- serin.context.v1.AppendResponse
    tenant          TEXT COLLATE "C" NOT NULL DEFAULT COALESCE(current_setting('serin.tenant', true), ''),
    PRIMARY KEY (conversation_id, request_id)
);

CREATE TABLE pins (
    conversation_id TEXT COLLATE "C" NOT NULL REFERENCES conversations (conversation_id),
    agent           TEXT COLLATE "C" NOT NULL,
    revision        TEXT COLLATE "C" NOT NULL,
    tenant          TEXT COLLATE "C" NOT NULL DEFAULT COALESCE(current_setting('serin.tenant', true), ''),
    PRIMARY KEY (conversation_id, agent)
);
CREATE INDEX pins_by_revision ON pins (agent, revision);

CREATE TABLE turns (
    turn_id          TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    conversation_id  TEXT COLLATE "C" NOT NULL REFERENCES conversations (conversation_id),
    agent            TEXT COLLATE "C" NOT NULL,
    revision         TEXT COLLATE "C" NOT NULL,
    status           INTEGER          NOT NULL, -- serin.context.v1.TurnStatus
    lease_holder     TEXT             NOT NULL,
    lease_expires_at BIGINT           NOT NULL,
    phase            INTEGER          NOT NULL, -- 1 fresh, 2 executing, 3 answered
    waiting_since    BIGINT           NOT NULL,
    cancel_by        TEXT             NOT NULL,
    cancel_reason    TEXT             NOT NULL,
    reserved_segment INTEGER          NOT NULL,
    reserved_step    INTEGER          NOT NULL,
    reserved_tokens  BIGINT           NOT NULL,
    reserved_cost    BIGINT           NOT NULL, -- millionths of a US dollar
    began_at         BIGINT           NOT NULL, -- when the tally of the segment starts
    tally            BYTEA            NOT NULL, -- serin.context.v1.Outcome
    forced           BYTEA            NOT NULL, -- serin.event.v1.TurnAccepted, forced_revisions only
    data             BYTEA            NOT NULL, -- serin.context.v1.Turn
    tenant           TEXT COLLATE "C" NOT NULL DEFAULT COALESCE(current_setting('serin.tenant', true), '')
);
CREATE INDEX turns_of_conversation ON turns (conversation_id);
CREATE INDEX turns_resumable ON turns (lease_expires_at, turn_id) WHERE status = 1;
CREATE INDEX turns_running ON turns (agent, revision) WHERE status = 1;

CREATE TABLE calls (
    conversation_id  TEXT COLLATE "C" NOT NULL REFERENCES conversations (conversation_id),
    call_id          TEXT COLLATE "C" NOT NULL,
    turn_id          TEXT COLLATE "C" NOT NULL,
    tool             TEXT             NOT NULL,
    arguments_digest TEXT             NOT NULL,
    agent            TEXT             NOT NULL,
    revision         TEXT             NOT NULL,
    segment          INTEGER          NOT NULL,
    step             INTEGER          NOT NULL,
    state            INTEGER          NOT NULL, -- 1 proposed, 2 claimed, 3 unknown, 4 completed
    idempotent       BOOLEAN          NOT NULL,
    holder           TEXT             NOT NULL,
    expires_at       BIGINT           NOT NULL,
    approval_asked   BOOLEAN          NOT NULL,
    approval         INTEGER          NOT NULL, -- serin.event.v1.Decision
    outcome_asked    BOOLEAN          NOT NULL,
    outcome          INTEGER          NOT NULL, -- serin.event.v1.Decision
    result           BYTEA,                     -- serin.event.v1.ToolResult
    result_sequence  BIGINT           NOT NULL,
    tenant           TEXT COLLATE "C" NOT NULL DEFAULT COALESCE(current_setting('serin.tenant', true), ''),
    PRIMARY KEY (conversation_id, call_id)
);

CREATE TABLE checkpoints (
    conversation_id TEXT COLLATE "C" NOT NULL PRIMARY KEY REFERENCES conversations (conversation_id),
    sequence        BIGINT           NOT NULL,
    format          BIGINT           NOT NULL,
    data            BYTEA            NOT NULL,
    tenant          TEXT COLLATE "C" NOT NULL DEFAULT COALESCE(current_setting('serin.tenant', true), '')
);

CREATE TABLE shared_state (
    scope     TEXT COLLATE "C" NOT NULL,
    state_key TEXT COLLATE "C" NOT NULL,
    value     BYTEA            NOT NULL,
    version   BIGINT           NOT NULL,
    tenant    TEXT COLLATE "C" NOT NULL DEFAULT COALESCE(current_setting('serin.tenant', true), ''),
    PRIMARY KEY (scope, state_key)
);

-- Withdrawals and outcomes are the platform's: they tell how revisions do, and nothing of what was said.
CREATE TABLE withdrawals (
    agent        TEXT COLLATE "C" NOT NULL,
    revision     TEXT COLLATE "C" NOT NULL,
    attempt      BIGINT           NOT NULL,
    replacement  TEXT             NOT NULL,
    cause        TEXT             NOT NULL,
    fenced       BOOLEAN          NOT NULL,
    fenced_turns INTEGER          NOT NULL,
    position     BIGINT           NOT NULL,
    withdrawn_at BIGINT           NOT NULL,
    PRIMARY KEY (agent, revision, attempt)
);

-- What segments came to. Whoever adds a row holds a lock until the commit, so that positions appear in their order.
CREATE TABLE outcomes (
    position BIGINT           GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    agent    TEXT COLLATE "C" NOT NULL,
    revision TEXT COLLATE "C" NOT NULL,
    kind     INTEGER          NOT NULL, -- serin.context.v1.Outcome.Kind
    ended_at BIGINT           NOT NULL,
    data     BYTEA            NOT NULL  -- serin.context.v1.Outcome without its position
);
CREATE INDEX outcomes_by_revision ON outcomes (agent, revision, position);

-- +goose StatementBegin
DO $$
DECLARE
    name TEXT;
BEGIN
    FOREACH name IN ARRAY ARRAY['conversations', 'events', 'requests', 'pins', 'turns', 'calls', 'checkpoints', 'shared_state'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format($policy$CREATE POLICY tenants ON %I USING (CASE
            WHEN current_setting('serin.all_tenants', true) = 'on' THEN true
            ELSE tenant = current_setting('serin.tenant', true) END)$policy$, name);
    END LOOP;
END $$;
-- +goose StatementEnd

-- serin_append begins a transaction that adds events to what its caller remembers: it takes the locks, and then fails unless
-- all is as remembered. Of each conversation that is the sequence of its last event, the xmin of its turn's row, which is
-- another after every write, and that no withdrawal names the pinned revision; and the time is what the caller takes it
-- to be, within a quarter of a second.
-- +goose StatementBegin
CREATE FUNCTION serin_append(
    whose TEXT, keys BIGINT[], ids TEXT[], sequences BIGINT[], turn_ids TEXT[], stamps TEXT[], agents TEXT[], pinned TEXT[],
    since DOUBLE PRECISION
) RETURNS TIMESTAMPTZ LANGUAGE plpgsql AS $$
DECLARE
    key   BIGINT;
    last  BIGINT;
    stamp TEXT;
BEGIN
    PERFORM pg_advisory_xact_lock_shared(24177, 1); -- 0x5e71, everything
    FOREACH key IN ARRAY keys LOOP
        PERFORM pg_advisory_xact_lock(key);
    END LOOP;
    PERFORM set_config('serin.all_tenants', 'on', true);
    FOR i IN 1 .. cardinality(ids) LOOP
        SELECT e.sequence INTO last FROM events e WHERE e.conversation_id = ids[i] ORDER BY e.sequence DESC LIMIT 1;
        SELECT t.xmin::text INTO stamp FROM turns t WHERE t.turn_id = turn_ids[i];
        IF last IS DISTINCT FROM sequences[i] OR stamp IS DISTINCT FROM stamps[i]
            OR EXISTS (SELECT 1 FROM withdrawals w WHERE w.agent = agents[i] AND w.revision = pinned[i]) THEN
            RAISE EXCEPTION 'not as remembered' USING ERRCODE = 'SE001';
        END IF;
    END LOOP;
    IF abs(extract(epoch FROM clock_timestamp()) - since) > 0.25 THEN
        RAISE EXCEPTION 'another time' USING ERRCODE = 'SE001';
    END IF;
    PERFORM set_config('serin.all_tenants', '', true), set_config('serin.tenant', whose, true);
    RETURN clock_timestamp();
END $$;
-- +goose StatementEnd

-- +goose Down
DROP FUNCTION serin_append;
DROP TABLE outcomes;
DROP TABLE withdrawals;
DROP TABLE shared_state;
DROP TABLE checkpoints;
DROP TABLE calls;
DROP TABLE turns;
DROP TABLE pins;
DROP TABLE requests;
DROP TABLE events;
DROP TABLE conversations;
DROP TABLE serin_schema;
