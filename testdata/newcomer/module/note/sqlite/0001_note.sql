-- +goose Up
CREATE TABLE note (id BIGINT PRIMARY KEY, owner BIGINT NOT NULL, version BIGINT NOT NULL, text TEXT NOT NULL);
-- +goose StatementBegin
CREATE TRIGGER note_version BEFORE UPDATE ON note WHEN NEW.version IS NOT OLD.version + 1
BEGIN SELECT RAISE(ABORT, 'version must rise by one'); END;
-- +goose StatementEnd
