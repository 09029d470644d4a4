package store

import (
	"context"
	"fmt"
	"regexp"
	"strings"
)

// CheckAppendOnly reports an append-only table that could be changed by this handle's SQL: one without the protection that
// its migration owes it. [Open] asks it; a verifier may ask again. It says what is missing:
//
// On SQLite the table is WITHOUT ROWID, has no UNIQUE besides its primary key (REPLACE by either would delete a row without
// asking any trigger), and has three triggers: BEFORE INSERT with RAISE(ABORT, …) for all but the next row, BEFORE UPDATE
// and BEFORE DELETE that always RAISE(ABORT, …). The handle's authorizer refuses UPDATE and DELETE besides.
//
// On PostgreSQL it, and each of its partitions, has a trigger BEFORE UPDATE OR DELETE OR TRUNCATE without a condition, and the
// role has no such right on any of them.
func (db *DB) CheckAppendOnly(ctx context.Context) error {
	for _, table := range db.only {
		lacks := db.lacksSQLite
		if db.engine == Postgres {
			lacks = db.lacksPostgres
		}
		missing, err := lacks(ctx, table)
		if err != nil {
			return fmt.Errorf("checking the append-only table %s: %w", table, err)
		}
		if len(missing) > 0 {
			return fmt.Errorf("the append-only table %s.%s is not safe: %s", db.name, table, strings.Join(missing, "; "))
		}
	}
	return nil
}

var (
	withoutRowID   = regexp.MustCompile(`(?is)\)\s*without\s+rowid\s*$`)
	refusesInsert  = regexp.MustCompile(`(?is)\bbefore\s+insert\s+on\b.*\bwhen\b.*\braise\s*\(\s*abort\b`)
	refusesUpdates = regexp.MustCompile(`(?is)\bbefore\s+update\s+on\s+\S+\s+(for\s+each\s+row\s+)?begin\s+select\s+raise\s*\(\s*abort\b`)
	refusesDeletes = regexp.MustCompile(`(?is)\bbefore\s+delete\s+on\s+\S+\s+(for\s+each\s+row\s+)?begin\s+select\s+raise\s*\(\s*abort\b`)
)

func (db *DB) lacksSQLite(ctx context.Context, table string) (missing []string, err error) {
	var definition string
	err = db.Get(ctx, []any{&definition}, `SELECT sql FROM sqlite_schema WHERE type = 'table' AND name = $1`, table)
	if err != nil {
		return nil, err
	}
	if !withoutRowID.MatchString(definition) {
		missing = append(missing, "it is not WITHOUT ROWID")
	}
	var unique int
	err = db.Get(ctx, []any{&unique}, `SELECT count(*) FROM pragma_index_list($1) WHERE "unique" = 1 AND origin <> 'pk'`, table)
	if err != nil {
		return nil, err
	}
	if unique > 0 {
		missing = append(missing, "it has a UNIQUE besides its primary key")
	}
	triggers, err := db.triggersOf(ctx, table)
	if err != nil {
		return nil, err
	}
	for _, needed := range []struct {
		form *regexp.Regexp
		what string
	}{
		{refusesInsert, "no trigger refuses an INSERT of another row than the next"},
		{refusesUpdates, "no trigger refuses every UPDATE"},
		{refusesDeletes, "no trigger refuses every DELETE"},
	} {
		if !matchesAny(needed.form, triggers) {
			missing = append(missing, needed.what)
		}
	}
	return missing, nil
}

func matchesAny(form *regexp.Regexp, texts []string) bool {
	for _, text := range texts {
		if form.MatchString(text) {
			return true
		}
	}
	return false
}

// triggersOf gives the definitions of a table's triggers on SQLite.
func (db *DB) triggersOf(ctx context.Context, table string) ([]string, error) {
	return db.texts(ctx, `SELECT sql FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = $1`, table)
}

// texts reads one column of text.
func (db *DB) texts(ctx context.Context, query string, args ...any) (list []string, err error) {
	err = db.All(ctx, func(scan func(...any) error) error {
		var text string
		if err := scan(&text); err != nil {
			return err
		}
		list = append(list, text)
		return nil
	}, query, args...)
	return list, err
}

// Bits of pg_trigger.tgtype: https://github.com/postgres/postgres/blob/master/src/include/catalog/pg_trigger.h.
const unguardedEvents = `SELECT e.name || CASE WHEN p.relid = to_regclass($1) THEN '' ELSE ' of the partition ' || p.relid::regclass::text END
	FROM (VALUES ('DELETE', 8), ('UPDATE', 16), ('TRUNCATE', 32)) AS e (name, bit),
	  (SELECT to_regclass($1) AS relid UNION SELECT relid FROM pg_partition_tree(to_regclass($1))) AS p
	WHERE NOT EXISTS (SELECT 1 FROM pg_trigger t WHERE t.tgrelid = p.relid AND t.tgenabled IN ('O', 'A')
	  AND t.tgqual IS NULL AND t.tgattr = '' AND (t.tgtype & 2) = 2 AND (t.tgtype & e.bit) = e.bit)`

const changingRights = `SELECT r.name || ' on ' || p.relid::regclass::text
	FROM (VALUES ('UPDATE'), ('DELETE'), ('TRUNCATE')) AS r (name), pg_partition_tree(to_regclass($1)) AS p
	WHERE has_table_privilege(p.relid, r.name) OR r.name = 'UPDATE' AND has_any_column_privilege(p.relid, 'UPDATE')
	UNION ALL SELECT r.name || ' on ' || $1::text FROM (VALUES ('UPDATE'), ('DELETE'), ('TRUNCATE')) AS r (name)
	WHERE has_table_privilege(to_regclass($1), r.name)`

func (db *DB) lacksPostgres(ctx context.Context, table string) (missing []string, err error) {
	name := quoted(table)
	var exists bool
	if err := db.Get(ctx, []any{&exists}, `SELECT to_regclass($1) IS NOT NULL`, name); err != nil {
		return nil, err
	}
	if !exists {
		return []string{"it is not there"}, nil
	}
	events, err := db.texts(ctx, unguardedEvents, name)
	if err != nil {
		return nil, err
	}
	for _, event := range events {
		missing = append(missing, "no trigger refuses every "+event)
	}
	rights, err := db.texts(ctx, changingRights, name)
	if err != nil {
		return nil, err
	}
	for _, right := range rights {
		missing = append(missing, "the role may "+right)
	}
	return missing, nil
}
