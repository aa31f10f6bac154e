-- A commit whose answer gets lost can be asked for by the marker that it left, also after a crash or a failover: it is there
-- if and only if the rest is. Markers sort by the time at which they were made; old ones are deleted.

-- +goose Up
CREATE TABLE commits (
    marker UUID NOT NULL PRIMARY KEY
);

-- +goose Down
DROP TABLE commits;
