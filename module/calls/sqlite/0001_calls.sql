-- +goose Up
CREATE TABLE kept (id BIGINT PRIMARY KEY, version BIGINT NOT NULL, person BIGINT NOT NULL, root BIGINT NOT NULL, token BIGINT NOT NULL,
  tool TEXT NOT NULL, idempotency_key TEXT NOT NULL, digest BLOB NOT NULL, call_id BIGINT, call_seq BIGINT, outcome TEXT, sealed BLOB,
  size BIGINT NOT NULL, UNIQUE (token, tool, idempotency_key),
  CHECK ((sealed IS NULL) = (outcome IS NULL)));
CREATE INDEX kept_root ON kept (root, id, size);
CREATE INDEX kept_call ON kept (call_id, call_seq);
-- +goose StatementBegin
CREATE TRIGGER kept_version BEFORE UPDATE ON kept WHEN NEW.version IS NOT OLD.version + 1
BEGIN SELECT RAISE(ABORT, 'version must rise by one'); END;
-- +goose StatementEnd
