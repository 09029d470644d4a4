package store

import (
	"context"
	"errors"
	"fmt"
	"regexp"
)

// versionTrigger is the trigger of the package comment, on SQLite.
var versionTrigger = regexp.MustCompile(
	`(?is)\bbefore\s+update\s+on\s+\S+\s+(for\s+each\s+row\s+)?when\s+new\.version\s+is\s+not\s+old\.version\s*\+\s*1\s+begin\s+select\s+raise\s*\(\s*abort\s*,\s*'` +
		versionRefused + `'`)

const versionedSQLite = `SELECT s.name FROM sqlite_schema AS s WHERE s.type = 'table'
	AND EXISTS (SELECT 1 FROM pragma_table_info(s.name) AS c WHERE c.name = 'version') ORDER BY s.name`

// The function is recognised by its text; 1 + 2 + 16 is a row's trigger before an update.
const unversionedPostgres = `SELECT c.relname FROM pg_class AS c
	JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attname = 'version' AND NOT a.attisdropped
	WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p') AND c.relname <> $1
	AND NOT EXISTS (SELECT 1 FROM pg_trigger AS t JOIN pg_proc AS p ON p.oid = t.tgfoid
	  WHERE t.tgrelid = c.oid AND t.tgenabled IN ('O', 'A') AND t.tgqual IS NULL AND t.tgattr = '' AND (t.tgtype & 19) = 19
	  AND p.prosrc ~* 'if\s+new\.version\s+is\s+distinct\s+from\s+old\.version\s*\+\s*1\s+then\s+raise\s+exception')
	ORDER BY c.relname`

// CheckVersions reports every table that has a column version and no trigger that refuses an UPDATE which does not raise
// it by exactly one (P8; the package comment has the trigger). It is for the test of each module, on both engines.
func (db *DB) CheckVersions(ctx context.Context) error {
	unversioned, err := db.unversioned(ctx)
	if err != nil {
		return fmt.Errorf("checking the version triggers of %s: %w", db.name, err)
	}
	var errs []error
	for _, table := range unversioned {
		errs = append(errs, fmt.Errorf("the table %s.%s has a version and no trigger that keeps it rising", db.name, table))
	}
	return errors.Join(errs...)
}

func (db *DB) unversioned(ctx context.Context) ([]string, error) {
	if db.engine == Postgres {
		return db.texts(ctx, unversionedPostgres, migrationTable)
	}
	tables, err := db.texts(ctx, versionedSQLite)
	if err != nil {
		return nil, err
	}
	var bare []string
	for _, table := range tables {
		if table == migrationTable {
			continue
		}
		triggers, err := db.triggersOf(ctx, table)
		if err != nil {
			return nil, err
		}
		if !matchesAny(versionTrigger, triggers) {
			bare = append(bare, table)
		}
	}
	return bare, nil
}
