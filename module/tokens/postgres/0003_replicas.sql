-- +goose Up
-- What the log compares before it takes a call that another replica let through: id, version and end, and nothing else of
-- this module. Its role may read this view.
CREATE VIEW versions AS SELECT id, version, ends FROM token;

-- One row, raised by every write: a replica that finds another number here reads its snapshot again. Its id is the moment
-- in which it was made.
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
CREATE TRIGGER token_changed AFTER INSERT OR UPDATE OR DELETE ON token FOR EACH STATEMENT EXECUTE FUNCTION changed();
