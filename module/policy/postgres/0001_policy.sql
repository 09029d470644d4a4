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
CREATE FUNCTION version_rises() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.version IS DISTINCT FROM OLD.version + 1 THEN RAISE EXCEPTION 'version must rise by one'; END IF;
  RETURN NEW;
END $$;
-- +goose StatementEnd
CREATE TRIGGER rule_version BEFORE UPDATE ON rule FOR EACH ROW EXECUTE FUNCTION version_rises();

-- One row, raised by every write: a replica that finds another number here reads the rules again. Its id is the moment in
-- which it was made.
CREATE TABLE change (
  id BIGINT PRIMARY KEY,
  n  BIGINT NOT NULL
);
INSERT INTO change (id, n) VALUES (CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT), 1);
-- +goose StatementBegin
CREATE FUNCTION changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE format('UPDATE %I.change SET n = n + 1', TG_TABLE_SCHEMA); -- whoever writes, by whatever path
  PERFORM pg_notify('gatehouse', TG_TABLE_SCHEMA);
  RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER rule_changed AFTER INSERT OR UPDATE OR DELETE ON rule FOR EACH STATEMENT EXECUTE FUNCTION changed();
