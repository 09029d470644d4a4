-- +goose Up
CREATE TABLE master (id BIGINT PRIMARY KEY, version BIGINT NOT NULL, name TEXT NOT NULL UNIQUE, sealed BLOB NOT NULL);
CREATE TABLE data_key (id BIGINT PRIMARY KEY, version BIGINT NOT NULL, person BIGINT NOT NULL UNIQUE, wrapped BLOB, forgotten BIGINT,
  CHECK ((wrapped IS NULL) = (forgotten IS NOT NULL)));
CREATE TABLE secret (id BIGINT PRIMARY KEY, version BIGINT NOT NULL, person BIGINT NOT NULL, connection TEXT NOT NULL, field TEXT NOT NULL,
  sealed BLOB NOT NULL, UNIQUE (person, connection, field));
-- +goose StatementBegin
CREATE TRIGGER master_version BEFORE UPDATE ON master WHEN NEW.version IS NOT OLD.version + 1
BEGIN SELECT RAISE(ABORT, 'version must rise by one'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER data_key_version BEFORE UPDATE ON data_key WHEN NEW.version IS NOT OLD.version + 1
BEGIN SELECT RAISE(ABORT, 'version must rise by one'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER secret_version BEFORE UPDATE ON secret WHEN NEW.version IS NOT OLD.version + 1
BEGIN SELECT RAISE(ABORT, 'version must rise by one'); END;
-- +goose StatementEnd
