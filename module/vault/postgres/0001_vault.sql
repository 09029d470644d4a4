-- +goose Up
CREATE TABLE master (id BIGINT PRIMARY KEY, version BIGINT NOT NULL, name TEXT NOT NULL UNIQUE, sealed BYTEA NOT NULL);
CREATE TABLE data_key (id BIGINT PRIMARY KEY, version BIGINT NOT NULL, person BIGINT NOT NULL UNIQUE, wrapped BYTEA, forgotten BIGINT,
  CHECK ((wrapped IS NULL) = (forgotten IS NOT NULL)));
CREATE TABLE secret (id BIGINT PRIMARY KEY, version BIGINT NOT NULL, person BIGINT NOT NULL, connection TEXT NOT NULL, field TEXT NOT NULL,
  sealed BYTEA NOT NULL, UNIQUE (person, connection, field));
-- +goose StatementBegin
CREATE FUNCTION version_rises() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.version IS DISTINCT FROM OLD.version + 1 THEN RAISE EXCEPTION 'version must rise by one'; END IF;
  RETURN NEW;
END $$;
-- +goose StatementEnd
CREATE TRIGGER master_version BEFORE UPDATE ON master FOR EACH ROW EXECUTE FUNCTION version_rises();
CREATE TRIGGER data_key_version BEFORE UPDATE ON data_key FOR EACH ROW EXECUTE FUNCTION version_rises();
CREATE TRIGGER secret_version BEFORE UPDATE ON secret FOR EACH ROW EXECUTE FUNCTION version_rises();
