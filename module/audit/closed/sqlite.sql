-- What the file of a closed segment gets when it is closed: it takes no row, keeps no call under way, and lets payloads go by
-- the time of the call that removes them, since its own last row stays where it is. Everything else refuses as before.
DROP TRIGGER IF EXISTS log_closed;
CREATE TRIGGER log_closed BEFORE INSERT ON log BEGIN SELECT RAISE(ABORT, 'this segment of the log is closed'); END;
DROP TRIGGER IF EXISTS payload_closed;
CREATE TRIGGER payload_closed BEFORE INSERT ON payload BEGIN SELECT RAISE(ABORT, 'this segment of the log is closed'); END;
DROP TRIGGER IF EXISTS payload_delete;
CREATE TRIGGER payload_delete BEFORE DELETE ON payload WHEN NOT EXISTS (SELECT 1 FROM intent i JOIN pruned p ON p.id = i.id AND p.seq = i.seq
  WHERE json_extract(i.body, '$.tool') = 'audit.prune' AND json_extract(i.body, '$.job') <> ''
    AND json_extract(i.body, '$.pruned.from') = p.from_ms AND json_extract(i.body, '$.pruned.before') = p.before_ms
    AND OLD.id >= p.from_ms AND OLD.id < p.before_ms AND OLD.id < p.id - 86400000)
BEGIN SELECT RAISE(ABORT, 'a payload stays until its time is over'); END;
DELETE FROM intent;
