package store_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"gatehouse/store"
	"gatehouse/store/storetest"
)

const insertRow = `INSERT INTO row (id, seq, n, what) VALUES ($1, $2, $3, $4)`

// attacks on both engines; %s is a file for the ones of SQLite that name one.
var attacks = map[store.Engine][]string{
	store.SQLite: {
		`UPDATE row SET what = 'x'`,
		`UPDATE row SET what = what WHERE n = 2`,
		`DELETE FROM row`,
		`DELETE FROM row WHERE n = 2`,
		`REPLACE INTO row (id, seq, n, what) VALUES (1, 1, 2, 'x')`,
		`INSERT OR REPLACE INTO row (id, seq, n, what) VALUES (1, 1, 4, 'x')`,
		`INSERT OR IGNORE INTO row (id, seq, n, what) VALUES (1, 9, 9, 'x')`,
		`INSERT INTO row (id, seq, n, what) VALUES (1, 1, 2, 'x') ON CONFLICT (id, seq) DO UPDATE SET what = 'x'`,
		`INSERT INTO row (id, seq, n, what) VALUES (0, 0, 4, 'x')`,
		`INSERT INTO row (id, seq, n, what) VALUES (2, 0, 5, 'x')`,
		`DROP TRIGGER row_update`,
		`DROP TABLE row`,
		`ALTER TABLE row RENAME TO gone`,
		`ALTER TABLE row ADD COLUMN x`,
		`CREATE TABLE other (x)`,
		`CREATE TEMP TABLE row (x)`,
		`CREATE TRIGGER t AFTER INSERT ON row BEGIN DELETE FROM note; END`,
		`CREATE INDEX i ON row (what)`,
		`ATTACH '%s' AS o`,
		`VACUUM`,
		`VACUUM INTO '%s'`,
		`PRAGMA writable_schema = 1`,
		`PRAGMA journal_mode = OFF`,
		`PRAGMA synchronous = OFF`,
		`PRAGMA query_only = 0`,
		`PRAGMA recursive_triggers = 0`,
		`UPDATE sqlite_schema SET sql = ''`,
		`DELETE FROM sqlite_schema`,
		`DELETE FROM gatehouse_migration`,
		`SELECT load_extension('%s')`,
		`REINDEX`,
		`ANALYZE`,
	},
	store.Postgres: {
		`UPDATE row SET what = 'x'`,
		`DELETE FROM row WHERE n = 2`,
		`INSERT INTO row (id, seq, n, what) VALUES (1, 1, 2, 'x') ON CONFLICT (id, seq) DO UPDATE SET what = 'x'`,
		`WITH gone AS (DELETE FROM row RETURNING id) SELECT * FROM gone`,
		`TRUNCATE row`,
		`DROP TRIGGER row_only_grows ON row`,
		`ALTER TABLE row DISABLE TRIGGER ALL`,
		`ALTER TABLE row RENAME TO gone`,
		`DROP TABLE row`,
		`DROP SCHEMA note CASCADE`,
		`CREATE TABLE other (x int)`,
		`CREATE RULE r AS ON INSERT TO row DO INSTEAD NOTHING`,
		`GRANT ALL ON row TO PUBLIC`,
		`SET session_replication_role = replica`,
		`DELETE FROM gatehouse_migration`,
		`CREATE OR REPLACE FUNCTION only_grows() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN OLD; END'`,
	},
}

// TestTheLogOnlyGrows is T19 with the application's own handle.
func TestTheLogOnlyGrows(t *testing.T) {
	t.Parallel()
	storetest.Engines(t, func(t *testing.T, source store.Source) {
		db := open(t, source)
		for n := range 3 {
			if _, err := db.Exec(t.Context(), insertRow, 1, n, n+1, "first"); err != nil {
				t.Fatal(err)
			}
		}
		before := dump(t, db)
		file := filepath.Join(t.TempDir(), "other.db")
		for _, attack := range attacks[db.Engine()] {
			if strings.Contains(attack, "%s") {
				attack = fmt.Sprintf(attack, file)
			}
			if n, err := db.Exec(t.Context(), attack); err == nil && !strings.HasPrefix(attack, "INSERT OR IGNORE") {
				t.Errorf("%s: done, %d rows", attack, n)
			}
			_ = db.Tx(t.Context(), func(tx *store.Tx) error { _, err := tx.Exec(t.Context(), attack); return err })
			_ = db.All(t.Context(), func(scan func(...any) error) error { return nil }, attack)
			if db.Engine() == store.Postgres {
				// A GRANT of what one does not have is a warning there; CheckAppendOnly below looks at what came of it.
				if err := store.ExecPast(t.Context(), db, attack); err == nil && !strings.HasPrefix(attack, "GRANT") {
					t.Errorf("%s: the database itself does not refuse it", attack)
				}
			}
			if after := dump(t, db); after != before {
				t.Fatalf("%s: the rows were\n%s\nand are\n%s", attack, before, after)
			}
		}
		if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("another file was made: %v", err)
		}
		if _, err := db.Exec(t.Context(), insertRow, 2, 0, 4, "next"); err != nil {
			t.Errorf("the next row is refused: %v", err)
		}
		if err := db.CheckAppendOnly(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func dump(t *testing.T, db *store.DB) string {
	t.Helper()
	var b strings.Builder
	err := db.All(t.Context(), func(scan func(...any) error) error {
		var id, seq, n int64
		var what string
		err := scan(&id, &seq, &n, &what)
		fmt.Fprintln(&b, id, seq, n, what)
		return err
	}, `SELECT id, seq, n, what FROM row ORDER BY id, seq`)
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestWhatCouldBeChangedDoesNotOpen takes each protection away, and Open must say which.
func TestWhatCouldBeChangedDoesNotOpen(t *testing.T) {
	t.Parallel()
	lite, post := noteSQLite, notePostgres
	without := func(from, old, replacement string) string {
		if !strings.Contains(from, old) {
			t.Fatalf("%q is not in the migration", old)
		}
		return strings.Replace(from, old, replacement, 1)
	}
	const pgTrigger = "BEFORE UPDATE OR DELETE OR TRUNCATE ON row EXECUTE"
	for _, tt := range []struct{ name, sqlite, postgres, want string }{
		{"rowid", without(lite, " WITHOUT ROWID", ""), post, "WITHOUT ROWID"},
		{"second key", without(lite, "what TEXT NOT NULL, PRIMARY", "what TEXT NOT NULL UNIQUE, PRIMARY"), post, "UNIQUE"},
		{"insert", without(lite, "BEFORE INSERT ON row WHEN", "BEFORE INSERT ON note WHEN"), post, "INSERT"},
		{"update", without(lite, "BEFORE UPDATE ON row BEGIN", "BEFORE UPDATE ON row WHEN 0 BEGIN"), post, "UPDATE"},
		{"delete", without(lite, "BEFORE DELETE ON row BEGIN", "AFTER INSERT ON note BEGIN"), post, "DELETE"},
		{"truncate", lite, without(post, pgTrigger, "BEFORE UPDATE OR DELETE ON row EXECUTE"), "TRUNCATE"},
		{"condition", lite, without(post, pgTrigger, "BEFORE UPDATE ON row FOR EACH ROW WHEN (NEW.n = 0) EXECUTE"), "UPDATE"},
		{"after", lite, without(post, pgTrigger, "AFTER UPDATE OR DELETE OR TRUNCATE ON row EXECUTE"), "DELETE"},
		{"off", lite, post + "ALTER TABLE row DISABLE TRIGGER row_only_grows;\n", "UPDATE"},
		{"not there", "-- +goose Up\nCREATE TABLE other (x);", "-- +goose Up\nCREATE TABLE other (x int);", "row"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			storetest.Engines(t, func(t *testing.T, source store.Source) {
				files := fstest.MapFS{
					"sqlite/0001_note.sql": {Data: []byte(tt.sqlite)}, "postgres/0001_note.sql": {Data: []byte(tt.postgres)},
				}
				same := tt.sqlite == lite
				if !source.Run.IsZero() {
					same = tt.postgres == post
				}
				db, err := store.Open(t.Context(), store.Config{
					Source: source, Name: "note", Migrations: files, Migrate: true, AppendOnly: []string{"row"},
				})
				if err == nil {
					defer func() { _ = db.Close() }()
				}
				if same != (err == nil) || !same && !strings.Contains(err.Error(), tt.want) {
					t.Errorf("Open: %v, want a word of %s", err, tt.want)
				}
			})
		})
	}
}
