-- +goose Up
CREATE TABLE kept (id BIGINT PRIMARY KEY, version BIGINT NOT NULL, person BIGINT NOT NULL, root BIGINT NOT NULL, token BIGINT NOT NULL,
  tool TEXT NOT NULL, idempotency_key TEXT NOT NULL, digest BYTEA NOT NULL, call_id BIGINT, call_seq BIGINT, outcome TEXT, sealed BYTEA,
  size BIGINT NOT NULL, UNIQUE (token, tool, idempotency_key),
  CHECK ((sealed IS NULL) = (outcome IS NULL)));
CREATE INDEX kept_root ON kept (root, id, size);
CREATE INDEX kept_call ON kept (call_id, call_seq);
-- +goose StatementBegin
CREATE FUNCTION version_rises() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.version IS DISTINCT FROM OLD.version + 1 THEN RAISE EXCEPTION 'version must rise by one'; END IF;
  RETURN NEW;
END $$;
-- +goose StatementEnd
CREATE TRIGGER kept_version BEFORE UPDATE ON kept FOR EACH ROW EXECUTE FUNCTION version_rises();
