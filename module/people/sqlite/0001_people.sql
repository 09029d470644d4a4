-- +goose Up
CREATE TABLE person (
  id            BIGINT PRIMARY KEY,
  version       BIGINT NOT NULL,
  email         TEXT NOT NULL,
  folded        TEXT NOT NULL UNIQUE,
  name          TEXT NOT NULL,
  administrator BOOLEAN NOT NULL,
  active        BOOLEAN NOT NULL
);
CREATE TABLE permission (
  id       BIGINT PRIMARY KEY,
  version  BIGINT NOT NULL,
  person   BIGINT NOT NULL REFERENCES person (id),
  number   BIGINT NOT NULL,
  tool     TEXT NOT NULL,
  decision TEXT NOT NULL CHECK (decision IN ('allow', 'ask', 'none')),
  UNIQUE (person, number)
);
-- +goose StatementBegin
CREATE TRIGGER person_version BEFORE UPDATE ON person WHEN NEW.version IS NOT OLD.version + 1
BEGIN SELECT RAISE(ABORT, 'version must rise by one'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER permission_version BEFORE UPDATE ON permission WHEN NEW.version IS NOT OLD.version + 1
BEGIN SELECT RAISE(ABORT, 'version must rise by one'); END;
-- +goose StatementEnd
