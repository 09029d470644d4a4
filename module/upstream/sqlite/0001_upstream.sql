-- +goose Up
-- What upstream servers said of their tools. name is the server's own, identity the hash of the command that runs it,
-- definition and accepted are canonical JSON or empty.
CREATE TABLE tool (id BIGINT PRIMARY KEY, version BIGINT NOT NULL, server TEXT NOT NULL, name TEXT NOT NULL,
  identity TEXT NOT NULL, definition TEXT NOT NULL, accepted TEXT NOT NULL, UNIQUE (server, name));
-- +goose StatementBegin
CREATE TRIGGER tool_version BEFORE UPDATE ON tool WHEN NEW.version IS NOT OLD.version + 1
BEGIN SELECT RAISE(ABORT, 'version must rise by one'); END;
-- +goose StatementEnd
