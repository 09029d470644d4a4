-- +goose Up
-- The log and its payloads by month of the rows' ids (UTC), so that an old month can be detached whole. What is there stays as it
-- is, in the partition that ends with the month of its last row; no row is written anew.
ALTER TABLE log RENAME TO log_before;
ALTER TABLE log_before RENAME CONSTRAINT log_pkey TO log_before_pkey;
ALTER INDEX log_person RENAME TO log_before_person;
DROP TRIGGER log_next ON log_before;
CREATE TABLE log (LIKE log_before, PRIMARY KEY (id, seq)) PARTITION BY RANGE (id);
CREATE INDEX log_person ON log (person, id, seq);

ALTER TABLE payload RENAME TO payload_before;
ALTER TABLE payload_before RENAME CONSTRAINT payload_pkey TO payload_before_pkey;
DROP TRIGGER payload_stays ON payload_before;
CREATE TABLE payload (LIKE payload_before, PRIMARY KEY (id, seq)) PARTITION BY RANGE (id);

-- Triggers for each row come to every partition by themselves, those for a whole statement do not: they stand on each table.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION log_next() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE l RECORD;
BEGIN
  -- The last row is one of the last two months, or else of whichever: so only few partitions are looked at for each row.
  SELECT id, seq, n INTO l FROM log WHERE id >= NEW.id - 5356800000 ORDER BY id DESC, seq DESC LIMIT 1;
  IF NOT FOUND THEN
    SELECT id, seq, n INTO l FROM log ORDER BY id DESC, seq DESC LIMIT 1;
  END IF;
  IF NOT FOUND THEN
    SELECT last_id AS id, last_seq AS seq, n INTO l FROM segment ORDER BY id DESC LIMIT 1;
  END IF;
  IF FOUND AND ((NEW.id, NEW.seq) <= (l.id, l.seq) OR NEW.n <> l.n + 1) THEN RAISE EXCEPTION 'only the next row'; END IF;
  RETURN NEW;
END $$;
-- +goose StatementEnd
CREATE TRIGGER log_next BEFORE INSERT ON log FOR EACH ROW EXECUTE FUNCTION log_next();
CREATE TRIGGER log_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON log EXECUTE FUNCTION log_only_grows();
CREATE TRIGGER payload_stays BEFORE DELETE ON payload FOR EACH ROW EXECUTE FUNCTION payload_stays();
CREATE TRIGGER payload_unchanged BEFORE UPDATE OR TRUNCATE ON payload EXECUTE FUNCTION log_only_grows();

-- +goose StatementBegin
DO $$
DECLARE upper BIGINT;
BEGIN
  SELECT CAST(extract(epoch FROM date_trunc('month', to_timestamp(max(id) / 1000.0) AT TIME ZONE 'UTC') + interval '1 month') * 1000 AS BIGINT)
    INTO upper FROM (SELECT id FROM log_before UNION ALL SELECT id FROM payload_before) AS all_of_them;
  IF upper IS NULL THEN
    upper := CAST(extract(epoch FROM date_trunc('month', clock_timestamp() AT TIME ZONE 'UTC')) * 1000 AS BIGINT);
  END IF;
  EXECUTE format('ALTER TABLE log ATTACH PARTITION log_before FOR VALUES FROM (MINVALUE) TO (%s)', upper);
  EXECUTE format('ALTER TABLE payload ATTACH PARTITION payload_before FOR VALUES FROM (MINVALUE) TO (%s)', upper);
END $$;
-- +goose StatementEnd

-- make_months makes the partitions up to the next month by this server's clock, where they are missing. The role that writes
-- the log may make no table; this is all that it may have made, by calling this as the owner: it takes no argument, and
-- finds nothing but this schema and the catalogue.
-- +goose StatementBegin
CREATE FUNCTION make_months() RETURNS VOID LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
  until BIGINT := CAST(extract(epoch FROM date_trunc('month', clock_timestamp() AT TIME ZONE 'UTC') + interval '2 months') * 1000 AS BIGINT);
  parent TEXT;
  part TEXT;
  lower BIGINT;
  upper BIGINT;
  month TIMESTAMP;
BEGIN
  PERFORM pg_advisory_xact_lock(hashtext('gatehouse audit make_months'));
  FOREACH parent IN ARRAY ARRAY['log', 'payload'] LOOP
    LOOP
      SELECT max(CAST(substring(pg_get_expr(c.relpartbound, c.oid) FROM 'TO \(''?(\d+)''?\)') AS BIGINT)) INTO lower
        FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = parent::regclass;
      lower := COALESCE(lower, CAST(extract(epoch FROM date_trunc('month', clock_timestamp() AT TIME ZONE 'UTC')) * 1000 AS BIGINT));
      EXIT WHEN lower >= until;
      month := to_timestamp(lower / 1000.0) AT TIME ZONE 'UTC';
      upper := CAST(extract(epoch FROM month + interval '1 month') * 1000 AS BIGINT);
      part := parent || to_char(month, '_YYYY_MM');
      -- Made and then attached, which keeps nobody from reading or writing meanwhile.
      EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING ALL)', part, parent);
      IF parent = 'log' THEN
        EXECUTE format('CREATE TRIGGER log_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON %I EXECUTE FUNCTION log_only_grows()', part);
      ELSE
        EXECUTE format('CREATE TRIGGER payload_unchanged BEFORE UPDATE OR TRUNCATE ON %I EXECUTE FUNCTION log_only_grows()', part);
      END IF;
      EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%s) TO (%s)', parent, part, lower, upper);
    END LOOP;
  END LOOP;
END $$;
-- +goose StatementEnd
SELECT make_months();
