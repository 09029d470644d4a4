-- +goose Up
-- Which payloads were removed because their time was over: those of the rows whose id has from_ms <= id < before_ms. id and
-- seq are the intent of the call that did so, which names the range as well, and so does the row that ends it. Only grows.
CREATE TABLE pruned (
  id BIGINT NOT NULL,
  seq BIGINT NOT NULL,
  from_ms BIGINT NOT NULL,
  before_ms BIGINT NOT NULL,
  PRIMARY KEY (id, seq)
) WITHOUT ROWID;
-- +goose StatementBegin
CREATE TRIGGER pruned_next BEFORE INSERT ON pruned WHEN EXISTS (SELECT 1 FROM pruned WHERE (id, seq) >= (NEW.id, NEW.seq))
BEGIN SELECT RAISE(ABORT, 'only the next range'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER pruned_update BEFORE UPDATE ON pruned BEGIN SELECT RAISE(ABORT, 'the ranges only grow'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER pruned_delete BEFORE DELETE ON pruned BEGIN SELECT RAISE(ABORT, 'the ranges only grow'); END;
-- +goose StatementEnd

-- A payload is never changed or put in another's place. It goes only inside a range that is written down here and named by
-- the intent of a call of audit.prune that is under way, and only a day after it was written by the log's own time.
-- +goose StatementBegin
CREATE TRIGGER payload_new BEFORE INSERT ON payload WHEN EXISTS (SELECT 1 FROM payload WHERE id = NEW.id AND seq = NEW.seq)
BEGIN SELECT RAISE(ABORT, 'a payload is never replaced'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER payload_update BEFORE UPDATE ON payload BEGIN SELECT RAISE(ABORT, 'a payload never changes'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER payload_delete BEFORE DELETE ON payload WHEN NOT EXISTS (SELECT 1 FROM intent i JOIN pruned p ON p.id = i.id AND p.seq = i.seq
  WHERE json_extract(i.body, '$.tool') = 'audit.prune' AND json_extract(i.body, '$.job') <> ''
    AND json_extract(i.body, '$.pruned.from') = p.from_ms AND json_extract(i.body, '$.pruned.before') = p.before_ms
    AND OLD.id >= p.from_ms AND OLD.id < p.before_ms
    AND OLD.id < (SELECT id - 86400000 FROM log ORDER BY id DESC, seq DESC LIMIT 1))
BEGIN SELECT RAISE(ABORT, 'a payload stays until its time is over'); END;
-- +goose StatementEnd
