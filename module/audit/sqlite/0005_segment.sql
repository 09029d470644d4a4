-- +goose Up
-- Where a segment of the log begins: how many rows there are before it, the last of them, and what the tree over them needs
-- to grow. signed vouches for all that with which the segment began. The first segment has no such row. Only grows.
CREATE TABLE segment (
  id BIGINT NOT NULL PRIMARY KEY,
  n BIGINT NOT NULL,
  last_id BIGINT NOT NULL,
  last_seq BIGINT NOT NULL,
  hash BLOB NOT NULL,
  edge BLOB NOT NULL,
  signed TEXT NOT NULL
) WITHOUT ROWID;
-- +goose StatementBegin
CREATE TRIGGER segment_next BEFORE INSERT ON segment WHEN EXISTS (SELECT 1 FROM segment WHERE id >= NEW.id OR n >= NEW.n)
BEGIN SELECT RAISE(ABORT, 'only the next segment'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER segment_update BEFORE UPDATE ON segment BEGIN SELECT RAISE(ABORT, 'the log only grows'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER segment_delete BEFORE DELETE ON segment BEGIN SELECT RAISE(ABORT, 'the log only grows'); END;
-- +goose StatementEnd

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
) WITHOUT ROWID;
-- +goose StatementBegin
CREATE TRIGGER segment_use_new BEFORE INSERT ON segment_use WHEN EXISTS (SELECT 1 FROM segment_use WHERE segment = NEW.segment AND token = NEW.token)
BEGIN SELECT RAISE(ABORT, 'a counter is never replaced'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER segment_use_update BEFORE UPDATE ON segment_use BEGIN SELECT RAISE(ABORT, 'the log only grows'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER segment_use_delete BEFORE DELETE ON segment_use BEGIN SELECT RAISE(ABORT, 'the log only grows'); END;
-- +goose StatementEnd

-- The first row of a segment follows the last of the one before, too.
DROP TRIGGER log_next;
-- +goose StatementBegin
CREATE TRIGGER log_next BEFORE INSERT ON log WHEN EXISTS (SELECT 1 FROM (SELECT id, seq, n FROM log ORDER BY id DESC, seq DESC LIMIT 1) AS l
  WHERE (NEW.id, NEW.seq) <= (l.id, l.seq) OR NEW.n <> l.n + 1)
  OR NOT EXISTS (SELECT 1 FROM log) AND EXISTS (SELECT 1 FROM segment AS s WHERE (NEW.id, NEW.seq) <= (s.last_id, s.last_seq) OR NEW.n <> s.n + 1)
BEGIN SELECT RAISE(ABORT, 'only the next row'); END;
-- +goose StatementEnd
