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
CREATE FUNCTION version_rises() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.version IS DISTINCT FROM OLD.version + 1 THEN RAISE EXCEPTION 'version must rise by one'; END IF;
  RETURN NEW;
END $$;
-- +goose StatementEnd
CREATE TRIGGER person_version BEFORE UPDATE ON person FOR EACH ROW EXECUTE FUNCTION version_rises();
CREATE TRIGGER permission_version BEFORE UPDATE ON permission FOR EACH ROW EXECUTE FUNCTION version_rises();
