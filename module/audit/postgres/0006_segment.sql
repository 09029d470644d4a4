-- +goose Up
-- Where a segment of the log begins: how many rows there are before it, the last of them, and what the tree over them needs
-- to grow. signed vouches for all that with which the segment began. The first segment has no such row. Only grows.
CREATE TABLE segment (
  id BIGINT PRIMARY KEY,
  n BIGINT NOT NULL,
  last_id BIGINT NOT NULL,
  last_seq BIGINT NOT NULL,
  hash BYTEA NOT NULL,
  edge BYTEA NOT NULL,
  signed TEXT NOT NULL
);
-- +goose StatementBegin
CREATE FUNCTION segment_next() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (SELECT 1 FROM segment WHERE id >= NEW.id OR n >= NEW.n) THEN RAISE EXCEPTION 'only the next segment'; END IF;
  RETURN NEW;
END $$;
-- +goose StatementEnd
CREATE TRIGGER segment_next BEFORE INSERT ON segment FOR EACH ROW EXECUTE FUNCTION segment_next();
CREATE TRIGGER segment_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON segment EXECUTE FUNCTION log_only_grows();

-- The counters of token_use as they stood when a segment began. Only grows.
CREATE TABLE segment_use (
  segment BIGINT NOT NULL,
  token BIGINT NOT NULL,
  calls BIGINT NOT NULL,
  uses BIGINT NOT NULL,
  last_ms BIGINT NOT NULL,
  last_address TEXT NOT NULL,
  cost BIGINT NOT NULL,
  PRIMARY KEY (segment, token)
);
CREATE TRIGGER segment_use_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON segment_use EXECUTE FUNCTION log_only_grows();
