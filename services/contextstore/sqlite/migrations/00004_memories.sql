-- +goose Up
-- What is remembered of users, beyond conversations. With the one that it comes from, a memory goes.
CREATE TABLE memories (
    position        INTEGER PRIMARY KEY AUTOINCREMENT, -- a page token stays good when the newest is deleted
    memory_id       TEXT    NOT NULL,
    tenant          TEXT    NOT NULL,
    user_name       TEXT    NOT NULL,
    text            TEXT    NOT NULL,
    conversation_id TEXT REFERENCES conversations (conversation_id) ON DELETE CASCADE, -- NULL for none
    turn_id         TEXT    NOT NULL,
    agent           TEXT    NOT NULL,
    revision        TEXT    NOT NULL,
    created_at      INTEGER NOT NULL,
    expires_at      INTEGER NOT NULL, -- 0 for never
    embedding_model TEXT    NOT NULL, -- empty without a vector
    dimensions      INTEGER NOT NULL,
    UNIQUE (tenant, memory_id)
);
CREATE INDEX memories_by_user ON memories (tenant, user_name, position);
CREATE INDEX memories_of_conversation ON memories (conversation_id) WHERE conversation_id IS NOT NULL;
CREATE INDEX memories_expiring ON memories (tenant, expires_at, position) WHERE expires_at > 0;

-- Their vectors, those of the same user and kind in blocks one behind the other: reading ten thousand rows would take several
-- times as long. A block is entries in the order of their positions: position and expires_at as little-endian int64s, and the
-- vector, of length 1, as little-endian float32s.
CREATE TABLE memory_vectors (
    tenant     TEXT    NOT NULL,
    user_name  TEXT    NOT NULL,
    model      TEXT    NOT NULL,
    dimensions INTEGER NOT NULL,
    first      INTEGER NOT NULL, -- no position in the block is less, and all in blocks before it are
    block      BLOB    NOT NULL,
    UNIQUE (tenant, user_name, model, dimensions, first)
);

-- Their words. The owner is one word that stands for tenant and user; the texts themselves are kept once, above.
CREATE VIRTUAL TABLE memory_words USING fts5 (
    owner, words, content = '', contentless_delete = 1, tokenize = 'unicode61 remove_diacritics 2'
);

-- +goose StatementBegin
CREATE TRIGGER memory_forgotten AFTER DELETE ON memories BEGIN
    DELETE FROM memory_words WHERE rowid = old.position;
END;
-- +goose StatementEnd

-- +goose Down
DROP TRIGGER memory_forgotten;
DROP TABLE memory_words;
DROP TABLE memory_vectors;
DROP TABLE memories;
