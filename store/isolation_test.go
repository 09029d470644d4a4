package store_test

import (
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"gatehouse/store"
	"gatehouse/store/storetest"
)

var secretFiles = fstest.MapFS{
	"sqlite/0001_vault.sql":   {Data: []byte("-- +goose Up\nCREATE TABLE sealed (id BIGINT PRIMARY KEY, value TEXT NOT NULL);\n")},
	"postgres/0001_vault.sql": {Data: []byte("-- +goose Up\nCREATE TABLE sealed (id BIGINT PRIMARY KEY, value TEXT NOT NULL);\n")},
}

// TestAModuleReadsOnlyItsOwn has the module note try to reach the tables of the module vault.
func TestAModuleReadsOnlyItsOwn(t *testing.T) {
	t.Parallel()
	storetest.Engines(t, func(t *testing.T, source store.Source) {
		vault, err := store.Open(t.Context(), store.Config{Source: source, Name: "vault", Migrations: secretFiles, Migrate: true})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = vault.Close() }()
		_, err = vault.Insert(t.Context(), `INSERT INTO sealed (id, value) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING`, "s3cret")
		if err != nil {
			t.Fatal(err)
		}
		note := open(t, source)
		login := loginOf(source)
		attempts := []string{
			`SELECT value FROM sealed`,
			`SELECT value FROM vault.sealed`,
			`INSERT INTO vault.sealed (id, value) VALUES (1, 'x')`,
			`ATTACH '` + filepath.Join(source.Dir, "vault.db") + `' AS vault`,
			`SET ROLE ` + store.Role(login, "vault"),
			`RESET ROLE`,
			` set local role ` + store.Role(login, "vault"),
			`SELECT set_config('role', '` + store.Role(login, "vault") + `', false)`,
			`SELECT Set_Config('search_path', 'vault', false)`,
			`DO $$ BEGIN SET ROLE ` + store.Role(login, "vault") + `; END $$`,
			`SELECT 1; SELECT value FROM vault.sealed`,
			`UPDATE note SET version = version + 1; SET ROLE ` + store.Role(login, "vault"),
			`GRANT ` + store.Role(login, "vault") + ` TO ` + store.Role(login, "note"),
		}
		for _, text := range attempts {
			if _, err := note.Exec(t.Context(), text); err == nil {
				t.Errorf("%s: done", text)
			}
			var value string
			if err := note.Get(t.Context(), []any{&value}, text); err == nil && strings.Contains(value, "s3cret") {
				t.Errorf("%s: read", text)
			}
			_ = note.Tx(t.Context(), func(tx *store.Tx) error { return tx.Get(t.Context(), []any{&value}, text) })
			if err := note.Get(t.Context(), []any{&value}, `SELECT value FROM vault.sealed`); err == nil {
				t.Fatalf("after %s the other module can be read", text)
			}
		}
		if note.Engine() == store.Postgres { // the rights alone, without the look at the verb
			for _, text := range []string{`SELECT value FROM vault.sealed`, `RESET ROLE; SELECT value FROM vault.sealed`} {
				if err := store.ExecPast(t.Context(), note, text); err == nil || !strings.Contains(err.Error(), "permission denied") {
					t.Errorf("%s: %v", text, err)
				}
			}
		}
	})
}

func loginOf(source store.Source) string {
	_, rest, _ := strings.Cut(source.Run.Reveal(), "user=")
	login, _, _ := strings.Cut(rest, " ")
	return login
}

// TestPrepareChecksTheSchema is what a module's test of all its SQL relies on.
func TestPrepareChecksTheSchema(t *testing.T) {
	t.Parallel()
	storetest.Engines(t, func(t *testing.T, source store.Source) {
		db := open(t, source)
		for _, text := range []string{insertNote, updateNote, selectNote, insertRow, `SELECT body FROM note WHERE name = $2 AND id = $1`} {
			if err := db.Prepare(t.Context(), text); err != nil {
				t.Error(err)
			}
		}
		for _, text := range []string{`SELECT nothing FROM note`, `SELECT id FROM nothing`, `SELEKT 1`, `DROP TABLE note`, `SELECT "nothing" FROM note`} {
			if err := db.Prepare(t.Context(), text); err == nil {
				t.Errorf("%s is good", text)
			}
		}
		if n := count(t, db, "note"); n != 0 {
			t.Errorf("preparing wrote %d rows", n)
		}
	})
}

// TestParametersOutOfOrder: one text serves both engines only if $2 is the second argument wherever it stands.
func TestParametersOutOfOrder(t *testing.T) {
	t.Parallel()
	storetest.Engines(t, func(t *testing.T, source store.Source) {
		db := open(t, source)
		var a, b, c string
		err := db.Get(t.Context(), []any{&a, &b, &c}, `SELECT CAST($3 AS TEXT), CAST($1 AS TEXT), CAST($3 AS TEXT) || CAST($2 AS TEXT)`, "1", "2", "3")
		if err != nil || a != "3" || b != "1" || c != "32" {
			t.Errorf("%q %q %q %v", a, b, c, err)
		}
	})
}
