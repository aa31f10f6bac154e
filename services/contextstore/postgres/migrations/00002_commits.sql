-- A commit whose answer gets lost can be asked for by the marker that it left, also after a crash or a failover: it is there
-- if and only if the rest is. Markers sort by the time at which they were made; old ones are deleted.

-- +goose Up
CREATE TABLE commits (
    marker UUID NOT NULL PRIMARY KEY
);

-- serin_extend takes the place of serin_append, which the release before still calls. It looks at each conversation as its own
-- tenant, from the last to the first, and returns the time and the xmin of the rows that the transaction will write. What is
-- assigned is evaluated without starting a query, and is several times as fast as PERFORM.
-- +goose StatementBegin
CREATE FUNCTION serin_extend(
    tenants TEXT[], keys BIGINT[], ids TEXT[], sequences BIGINT[], turn_ids TEXT[], stamps TEXT[], agents TEXT[], pinned TEXT[],
    since DOUBLE PRECISION, OUT clock TIMESTAMPTZ, OUT stamp TEXT
) LANGUAGE plpgsql AS $$
DECLARE
    ignored TEXT;
    key     BIGINT;
    last    BIGINT;
BEGIN
    ignored := pg_advisory_xact_lock_shared(24177, 1)::text; -- 0x5e71, everything
    FOREACH key IN ARRAY keys LOOP
        ignored := pg_advisory_xact_lock(key)::text;
    END LOOP;
    FOR i IN REVERSE cardinality(ids) .. 1 LOOP
        ignored := set_config('serin.tenant', tenants[i], true);
        SELECT (SELECT e.sequence FROM events e WHERE e.conversation_id = ids[i] ORDER BY e.sequence DESC LIMIT 1)
            INTO last FROM turns t WHERE t.turn_id = turn_ids[i] AND t.xmin::text = stamps[i]
            AND NOT EXISTS (SELECT 1 FROM withdrawals w WHERE w.agent = agents[i] AND w.revision = pinned[i]);
        IF last IS DISTINCT FROM sequences[i] THEN
            RAISE EXCEPTION 'not as remembered' USING ERRCODE = 'SE001';
        END IF;
    END LOOP;
    clock := clock_timestamp();
    IF abs(extract(epoch FROM clock) - since) > 0.25 THEN
        RAISE EXCEPTION 'another time' USING ERRCODE = 'SE001';
    END IF;
    stamp := pg_current_xact_id()::xid::text;
END $$;
-- +goose StatementEnd

-- +goose Down
DROP FUNCTION serin_extend;
DROP TABLE commits;
