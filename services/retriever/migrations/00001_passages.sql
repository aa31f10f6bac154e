-- What is indexed. Everything here can be made anew from the documents.

-- +goose Up
CREATE TABLE documents (
    name       TEXT    NOT NULL PRIMARY KEY,
    title      TEXT    NOT NULL,
    digest     TEXT    NOT NULL, -- sha256 of the release's way of taking it apart, and of its bytes
    bytes      INTEGER NOT NULL,
    validator  TEXT    NOT NULL, -- of a page: its ETag or date
    indexed_at INTEGER NOT NULL  -- nanoseconds since 1970
) WITHOUT ROWID;

CREATE TABLE passages (
    id       INTEGER PRIMARY KEY AUTOINCREMENT, -- never used twice
    document TEXT    NOT NULL REFERENCES documents (name),
    start    INTEGER NOT NULL,
    stop     INTEGER NOT NULL,
    headings TEXT    NOT NULL, -- a JSON array
    context  TEXT    NOT NULL, -- title and headings, a line each
    text     TEXT    NOT NULL,
    digest   TEXT    NOT NULL  -- sha256 of what its vector is of
);
CREATE INDEX passages_by_document ON passages (document);
CREATE INDEX passages_by_digest ON passages (digest);

CREATE VIRTUAL TABLE words USING fts5 (
    context, text, content = 'passages', content_rowid = 'id', tokenize = 'porter unicode61 remove_diacritics 2'
);
-- +goose StatementBegin
CREATE TRIGGER passages_added AFTER INSERT ON passages BEGIN
    INSERT INTO words (rowid, context, text) VALUES (new.id, new.context, new.text);
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER passages_removed AFTER DELETE ON passages BEGIN
    INSERT INTO words (words, rowid, context, text) VALUES ('delete', old.id, old.context, old.text);
END;
-- +goose StatementEnd

CREATE TABLE vectors (
    digest TEXT NOT NULL,
    model  TEXT NOT NULL,
    vector BLOB NOT NULL, -- float32, little-endian, of length 1
    PRIMARY KEY (digest, model)
) WITHOUT ROWID;
