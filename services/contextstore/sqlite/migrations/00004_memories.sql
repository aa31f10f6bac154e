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

-- Their vectors have the length 1: little-endian float32s. They are looked for among those of the same user and kind.
CREATE TABLE memory_vectors (
    position   INTEGER PRIMARY KEY REFERENCES memories (position) ON DELETE CASCADE,
    tenant     TEXT    NOT NULL,
    user_name  TEXT    NOT NULL,
    model      TEXT    NOT NULL,
    dimensions INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    vector     BLOB    NOT NULL
);
CREATE INDEX memory_vectors_by_kind ON memory_vectors (tenant, user_name, model, dimensions, position);

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
