-- +goose Up
-- Replicas that share this database. Each renews its lease by this server's clock; what one whose lease has run out left
-- under way becomes rows with the outcome unknown. id is when it started, until is milliseconds since 1970, place is what
-- only one process can hold at a time (empty: not known).
CREATE TABLE replica (
  id    BIGINT PRIMARY KEY,
  until BIGINT NOT NULL,
  place TEXT NOT NULL
);

-- Jobs that one replica does for all: who did it last, and when it is to be done again. id is when it was first done.
CREATE TABLE job (
  id      BIGINT PRIMARY KEY,
  name    TEXT NOT NULL UNIQUE,
  due     BIGINT NOT NULL,
  replica BIGINT NOT NULL
);

-- Whose call it is, and of which tokens it holds a use.
ALTER TABLE intent ADD COLUMN replica BIGINT NOT NULL DEFAULT 0;
ALTER TABLE intent ADD COLUMN used BIGINT[] NOT NULL DEFAULT '{}';

-- The newest key that was given to a row or an intent, and the number of the row that the signed head names.
ALTER TABLE head ADD COLUMN given_id BIGINT NOT NULL DEFAULT 0;
ALTER TABLE head ADD COLUMN given_seq BIGINT NOT NULL DEFAULT 0;
ALTER TABLE head ADD COLUMN signed_n BIGINT NOT NULL DEFAULT -1;
UPDATE head SET (given_id, given_seq) = (SELECT id, seq FROM (SELECT last_id AS id, last_seq AS seq FROM head
  UNION ALL SELECT id, seq FROM intent) AS k ORDER BY id DESC, seq DESC LIMIT 1);
