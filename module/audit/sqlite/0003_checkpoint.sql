-- +goose Up
-- The newest signed checkpoint of the Merkle tree over the rows, one row. edge is what the tree needs to grow: the roots of
-- its whole subtrees, the largest first; last_id and last_seq name the row with the number n.
CREATE TABLE checkpoint (
  id BIGINT PRIMARY KEY,
  one BIGINT NOT NULL UNIQUE CHECK (one = 1),
  n BIGINT NOT NULL,
  last_id BIGINT NOT NULL,
  last_seq BIGINT NOT NULL,
  edge BLOB NOT NULL,
  signed TEXT NOT NULL
);
