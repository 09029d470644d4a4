-- +goose Up
CREATE TABLE note (id BIGINT PRIMARY KEY, owner BIGINT NOT NULL, version BIGINT NOT NULL, text TEXT NOT NULL);
-- +goose StatementBegin
CREATE FUNCTION version_rises() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.version IS DISTINCT FROM OLD.version + 1 THEN RAISE EXCEPTION 'version must rise by one'; END IF;
  RETURN NEW;
END $$;
-- +goose StatementEnd
CREATE TRIGGER note_version BEFORE UPDATE ON note FOR EACH ROW EXECUTE FUNCTION version_rises();
