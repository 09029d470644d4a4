-- +goose Up
-- Which payloads were removed because their time was over: those of the rows whose id has from_ms <= id < before_ms. id and
-- seq are the intent of the call that did so, which names the range as well, and so does the row that ends it. Only grows.
CREATE TABLE pruned (
  id BIGINT NOT NULL,
  seq BIGINT NOT NULL,
  from_ms BIGINT NOT NULL,
  before_ms BIGINT NOT NULL,
  PRIMARY KEY (id, seq)
);
CREATE TRIGGER pruned_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON pruned EXECUTE FUNCTION log_only_grows();

-- A payload is never changed or put in another's place. It goes only inside a range that is written down here and named by
-- the intent of a call of audit.prune that is under way, and only a day after it was written by the log's own time.
-- +goose StatementBegin
CREATE FUNCTION payload_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF OLD.id < (SELECT id - 86400000 FROM log ORDER BY id DESC, seq DESC LIMIT 1)
    AND EXISTS (SELECT 1 FROM intent i JOIN pruned p ON p.id = i.id AND p.seq = i.seq
      WHERE i.body::jsonb->>'tool' = 'audit.prune' AND i.body::jsonb->>'job' <> ''
        AND (i.body::jsonb#>>'{pruned,from}')::bigint = p.from_ms AND (i.body::jsonb#>>'{pruned,before}')::bigint = p.before_ms
        AND OLD.id >= p.from_ms AND OLD.id < p.before_ms) THEN
    RETURN OLD;
  END IF;
  RAISE EXCEPTION 'a payload stays until its time is over';
END $$;
-- +goose StatementEnd
CREATE TRIGGER payload_stays BEFORE DELETE ON payload FOR EACH ROW EXECUTE FUNCTION payload_stays();
CREATE TRIGGER payload_unchanged BEFORE UPDATE OR TRUNCATE ON payload EXECUTE FUNCTION log_only_grows();
