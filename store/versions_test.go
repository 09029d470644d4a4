package store_test

import (
	"errors"
	"strings"
	"testing"
	"testing/fstest"

	"gatehouse/outcome"
	"gatehouse/store"
	"gatehouse/store/storetest"
)

// TestAForgottenVersionFailsLoud is P8 for writes that do not look at the version that they saw.
func TestAForgottenVersionFailsLoud(t *testing.T) {
	t.Parallel()
	storetest.Engines(t, func(t *testing.T, source store.Source) {
		db := open(t, source)
		id, err := db.Insert(t.Context(), insertNote, "a", []byte("first"))
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range []string{
			`UPDATE note SET body = $1 WHERE id = $2`,
			`UPDATE note SET body = $1, version = 1 WHERE id = $2`,
			`UPDATE note SET body = $1, version = 3 WHERE id = $2`,
			`UPDATE note SET body = $1, version = version - 1 WHERE id = $2`,
		} {
			if _, err := db.Exec(t.Context(), text, []byte("x"), id); !errors.Is(err, outcome.Conflict) {
				t.Errorf("%s: %v", text, err)
			}
		}
		var body []byte
		if err := db.Get(t.Context(), []any{&body}, `SELECT body FROM note WHERE id = $1`, id); err != nil || string(body) != "first" {
			t.Errorf("%q, %v", body, err)
		}
		if err := db.CheckVersions(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestCheckVersionsFindsABareTable(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, sqlite, postgres string }{
		{"no trigger", `CREATE TABLE bare (id BIGINT PRIMARY KEY, version BIGINT);`, `CREATE TABLE bare (id BIGINT PRIMARY KEY, version BIGINT);`},
		{
			"of one column", `CREATE TABLE bare (id BIGINT PRIMARY KEY, version BIGINT);
-- +goose StatementBegin
CREATE TRIGGER v BEFORE UPDATE OF version ON bare WHEN NEW.version IS NOT OLD.version + 1
BEGIN SELECT RAISE(ABORT, 'version must rise by one'); END;
-- +goose StatementEnd
`, `CREATE TABLE bare (id BIGINT PRIMARY KEY, version BIGINT);
CREATE TRIGGER v BEFORE UPDATE OF version ON bare FOR EACH ROW EXECUTE FUNCTION version_rises();`,
		},
		{
			"any rise", `CREATE TABLE bare (id BIGINT PRIMARY KEY, version BIGINT);
-- +goose StatementBegin
CREATE TRIGGER v BEFORE UPDATE ON bare WHEN NEW.version <= OLD.version
BEGIN SELECT RAISE(ABORT, 'version must rise by one'); END;
-- +goose StatementEnd
`, `CREATE TABLE bare (id BIGINT PRIMARY KEY, version BIGINT);
CREATE TRIGGER v AFTER UPDATE ON bare FOR EACH ROW EXECUTE FUNCTION version_rises();`,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			storetest.Engines(t, func(t *testing.T, source store.Source) {
				files := notes()
				files["sqlite/0002_bare.sql"] = &fstest.MapFile{Data: []byte("-- +goose Up\n" + tt.sqlite)}
				files["postgres/0002_bare.sql"] = &fstest.MapFile{Data: []byte("-- +goose Up\n" + tt.postgres)}
				db := open(t, source, func(c *store.Config) { c.Migrations = files })
				err := db.CheckVersions(t.Context())
				if err == nil || !strings.Contains(err.Error(), "note.bare") || strings.Contains(err.Error(), "note.note") {
					t.Errorf("CheckVersions: %v", err)
				}
			})
		})
	}
}
