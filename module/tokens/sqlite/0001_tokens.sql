-- +goose Up
CREATE TABLE token (
  id       BIGINT PRIMARY KEY,
  version  BIGINT NOT NULL,
  hash     BLOB NOT NULL UNIQUE CHECK (length(hash) = 32),
  person   BIGINT NOT NULL,
  parent   BIGINT NOT NULL,
  agent    TEXT NOT NULL,
  tools    TEXT NOT NULL,
  networks TEXT NOT NULL,
  ends     BIGINT NOT NULL,
  max_uses BIGINT NOT NULL,
  rate     BIGINT NOT NULL,
  revoked  BIGINT NOT NULL
);
CREATE INDEX token_parent ON token (parent);
-- +goose StatementBegin
CREATE TRIGGER token_version BEFORE UPDATE ON token WHEN NEW.version IS NOT OLD.version + 1
BEGIN SELECT RAISE(ABORT, 'version must rise by one'); END;
-- +goose StatementEnd
