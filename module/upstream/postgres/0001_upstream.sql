-- +goose Up
-- What upstream servers said of their tools. name is the server's own, identity the hash of the command that runs it,
-- definition and accepted are canonical JSON or empty.
CREATE TABLE tool (id BIGINT PRIMARY KEY, version BIGINT NOT NULL, server TEXT NOT NULL, name TEXT NOT NULL,
  identity TEXT NOT NULL, definition TEXT NOT NULL, accepted TEXT NOT NULL, UNIQUE (server, name));
-- +goose StatementBegin
CREATE FUNCTION version_rises() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.version IS DISTINCT FROM OLD.version + 1 THEN RAISE EXCEPTION 'version must rise by one'; END IF;
  RETURN NEW;
END $$;
-- +goose StatementEnd
CREATE TRIGGER tool_version BEFORE UPDATE ON tool FOR EACH ROW EXECUTE FUNCTION version_rises();
