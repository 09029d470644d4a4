-- +goose Up
CREATE TABLE token (
  id       BIGINT PRIMARY KEY,
  version  BIGINT NOT NULL,
  hash     BYTEA NOT NULL UNIQUE CHECK (octet_length(hash) = 32),
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
CREATE FUNCTION version_rises() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.version IS DISTINCT FROM OLD.version + 1 THEN RAISE EXCEPTION 'version must rise by one'; END IF;
  RETURN NEW;
END $$;
-- +goose StatementEnd
CREATE TRIGGER token_version BEFORE UPDATE ON token FOR EACH ROW EXECUTE FUNCTION version_rises();
