-- +goose Up
-- One line for each call that arrived, for ever. body is the row in canonical JSON, exactly the bytes that hash is of;
-- the columns repeat what is searched for, and verify compares them. docs/audit-format.md has the format.
CREATE TABLE log (
  id BIGINT NOT NULL,
  seq BIGINT NOT NULL,
  n BIGINT NOT NULL,
  person BIGINT NOT NULL,
  agent TEXT NOT NULL,
  tool TEXT NOT NULL,
  outcome TEXT NOT NULL,
  body TEXT NOT NULL,
  hash BLOB NOT NULL,
  PRIMARY KEY (id, seq)
) WITHOUT ROWID;
CREATE INDEX log_person ON log (person, id, seq);
-- +goose StatementBegin
CREATE TRIGGER log_next BEFORE INSERT ON log WHEN EXISTS (SELECT 1 FROM (SELECT id, seq, n FROM log ORDER BY id DESC, seq DESC LIMIT 1) AS l
  WHERE (NEW.id, NEW.seq) <= (l.id, l.seq) OR NEW.n <> l.n + 1)
BEGIN SELECT RAISE(ABORT, 'only the next row'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER log_update BEFORE UPDATE ON log BEGIN SELECT RAISE(ABORT, 'the log only grows'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER log_delete BEFORE DELETE ON log BEGIN SELECT RAISE(ABORT, 'the log only grows'); END;
-- +goose StatementEnd

-- What a row commits to, sealed under the person's key.
CREATE TABLE payload (
  id BIGINT NOT NULL,
  seq BIGINT NOT NULL,
  sealed BLOB NOT NULL,
  PRIMARY KEY (id, seq)
) WITHOUT ROWID;

-- Calls with effects that were let through and have no row yet.
CREATE TABLE intent (
  id BIGINT NOT NULL,
  seq BIGINT NOT NULL,
  body TEXT NOT NULL,
  sealed BLOB NOT NULL,
  PRIMARY KEY (id, seq)
) WITHOUT ROWID;

-- The end of the chain, one row, and the newest signed head.
CREATE TABLE head (
  id BIGINT PRIMARY KEY,
  one BIGINT NOT NULL UNIQUE CHECK (one = 1),
  n BIGINT NOT NULL,
  last_id BIGINT NOT NULL,
  last_seq BIGINT NOT NULL,
  hash BLOB NOT NULL,
  signed TEXT NOT NULL
);

-- Counted from the log, in the transactions that write it.
CREATE TABLE token_use (
  token BIGINT PRIMARY KEY,
  calls BIGINT NOT NULL,
  uses BIGINT NOT NULL,
  last_ms BIGINT NOT NULL,
  last_address TEXT NOT NULL
);
