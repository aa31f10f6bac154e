-- +goose Up
ALTER TABLE turns ADD COLUMN reserved_cost INTEGER NOT NULL DEFAULT 0; -- millionths of a US dollar

-- +goose Down
ALTER TABLE turns DROP COLUMN reserved_cost;
