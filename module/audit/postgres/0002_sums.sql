-- +goose Up
-- What the calls of a day came to, by who made them and what they called. Counted from the log, in the transactions that
-- write it: docs/audit-format.md says how to count again. day is the first millisecond of the day, UTC.
CREATE TABLE day_sum (
  day BIGINT NOT NULL,
  person BIGINT NOT NULL,
  agent TEXT NOT NULL,
  tool TEXT NOT NULL,
  calls BIGINT NOT NULL,
  cost BIGINT NOT NULL,
  bytes_in BIGINT NOT NULL,
  bytes_out BIGINT NOT NULL,
  took_us BIGINT NOT NULL,
  PRIMARY KEY (day, person, agent, tool)
);
CREATE INDEX day_sum_person ON day_sum (person, day);
INSERT INTO day_sum SELECT d, person, agent, t, sum((b->>'count')::bigint), coalesce(sum((b->>'price')::bigint), 0),
    coalesce(sum((b->>'bytes_in')::bigint), 0), coalesce(sum((b->>'bytes_out')::bigint), 0), coalesce(sum((b->>'took_us')::bigint), 0)
  FROM (SELECT id / 86400000 * 86400000 AS d, person, agent, CASE WHEN body::jsonb->>'definition' IS NULL THEN '' ELSE tool END AS t,
    body::jsonb AS b FROM log) AS l GROUP BY d, person, agent, t;

-- What was spent with each token, and with those that were made from it.
ALTER TABLE token_use ADD COLUMN cost BIGINT NOT NULL DEFAULT 0;
UPDATE token_use SET cost = s.cost FROM
  (SELECT u.value::bigint AS token, coalesce(sum((l.body::jsonb->>'price')::bigint), 0) AS cost
    FROM log l, jsonb_array_elements_text(l.body::jsonb->'used') AS u (value) GROUP BY u.value) AS s
  WHERE token_use.token = s.token;
