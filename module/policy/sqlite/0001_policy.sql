-- +goose Up
CREATE TABLE rule (
  id        BIGINT PRIMARY KEY,
  version   BIGINT NOT NULL,
  author    BIGINT NOT NULL,
  tool      TEXT NOT NULL,
  condition TEXT NOT NULL,
  decision  TEXT NOT NULL CHECK (decision IN ('allow', 'ask', 'refuse')),
  decide    TEXT NOT NULL,
  four_eyes BOOLEAN NOT NULL,
  expire    BIGINT NOT NULL,
  reason    TEXT NOT NULL,
  shadow    BOOLEAN NOT NULL
);
-- +goose StatementBegin
CREATE TRIGGER rule_version BEFORE UPDATE ON rule WHEN NEW.version IS NOT OLD.version + 1
BEGIN SELECT RAISE(ABORT, 'version must rise by one'); END;
-- +goose StatementEnd
